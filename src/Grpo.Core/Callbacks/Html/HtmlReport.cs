using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// Writes one self-contained HTML page at the end of a run, also of one that was cancelled: charts, completions before and after, tokens in
/// colour, options and versions. The page loads nothing and runs no script.
/// </summary>
/// <remarks>
/// Memory does not grow with the run: numbers are joined into a few hundred buckets per metric, and of all rollouts the page keeps the groups
/// that taught most in the first and in the last step. Text of models, data sets and options is shown, never interpreted. What the page
/// shows is part of each checkpoint, so that the page of a resumed run is about the whole run. Where a checkpoint lacks it, another page
/// tells of the later steps, and the page of the whole run is left alone.
/// </remarks>
public sealed class HtmlReport : ITrainingCallback, ICheckpointedCallback
{
    private readonly string _path;
    private readonly IReadOnlyList<KeyValuePair<string, string>> _facts;
    private readonly TokenDetails? _tokens;
    private RunHistory _history = new(null);
    private bool _started;

    /// <summary>Prepares a report; nothing is written before the run ends.</summary>
    /// <param name="path">The file; its folder is made when it is not there, and an older report is replaced.</param>
    /// <param name="facts">What else the page should say of the run, such as model, data and command; shown in this order. Null: nothing.</param>
    /// <param name="tokens">Lets the page colour tokens by ratio and entropy, for two forward passes at the end. Null: completions are coloured whole.</param>
    public HtmlReport(string path, IReadOnlyList<KeyValuePair<string, string>>? facts = null, TokenDetails? tokens = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _path = path;
        _facts = facts is null ? [] : [.. facts];
        _tokens = tokens;
    }

    /// <summary>
    /// The file that is written: the one that was given, or where the first steps of the run are not on record, one beside it, such as
    /// report-from-step-15.html.
    /// </summary>
    public string FilePath => _history.FirstStep == 0 ? _path : Path.Combine(
        Path.GetDirectoryName(_path) ?? string.Empty,
        FormattableString.Invariant(
            $"{Path.GetFileNameWithoutExtension(_path)}-from-step-{_history.FirstStep + 1}{Path.GetExtension(_path)}"));

    private string Folder => Path.GetDirectoryName(Path.GetFullPath(_path))!;

    /// <inheritdoc/>
    /// <exception cref="IOException">The folder of the file cannot be made.</exception>
    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(start);
        try
        {
            Directory.CreateDirectory(Folder);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception);
        }

        _started = true;
        string problem = "the report was not there from the beginning";
        if (start.Checkpoint is { } checkpoint && ReportState.Read(checkpoint, out problem) is { } state)
        {
            _history = RunHistory.From(state, start);
        }
        else if (start.Checkpoint is null && start.FirstStep > 0 && _history.Start is not null && _history.LastStep == start.FirstStep)
        {
            _history.Continue(start);
        }
        else
        {
            _history = new RunHistory(start);
            if (start.FirstStep > 0)
            {
                start.Warn?.Invoke(
                    $"The report '{FilePath}' begins with step {start.FirstStep + 1}: what came before is not on record, since {problem}.");
            }
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask OnStepAsync(StepReport report, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(report);
        _history.Add(report);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        _history.Add(step, evaluation);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public async ValueTask OnEndAsync(TrainingSummary summary)
    {
        ArgumentNullException.ThrowIfNull(summary);
        string page = ReportPage.Render(_history, _history.Complete(summary), _facts, _tokens);
        _history.Close(summary);
        try
        {
            await WriteAsync(page).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception);
        }
    }

    void ICheckpointedCallback.Save(string directory, TrainingSummary summary) => _history.Save(summary).Write(directory);

    void ICheckpointedCallback.Note(long step, string text) => _history.NoteEarly(step, text);

    private IOException Failure(Exception cause)
    {
        string remedy = WriteFailure.Remedy(cause, _path, "Choose another file.");
        return new IOException($"The report '{FilePath}' cannot be written: {cause.Message} {remedy}", cause);
    }

    // Beside the target and then renamed: a reader sees the old report or the new one, never half of one.
    private async Task WriteAsync(string page)
    {
        if (!_started)
        {
            Directory.CreateDirectory(Folder);
        }
        else if (!Directory.Exists(Folder))
        {
            throw new DirectoryNotFoundException("Its folder was there when the run began and is gone.");
        }

        string temporary = $"{FilePath}.{Guid.NewGuid():N}.tmp";
        try
        {
            var file = new StreamWriter(temporary); // File.WriteAllText reserves the space, and fails without the code of a full disk
            await using (file.ConfigureAwait(false))
            {
                await file.WriteAsync(page).ConfigureAwait(false);
            }

            File.Move(temporary, FilePath, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
