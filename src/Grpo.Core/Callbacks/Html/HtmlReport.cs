using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// A callback that writes a self-contained HTML report at the end of a run, even of a canceled one. It has charts, completions before and
/// after, colored tokens, options and versions. The page loads nothing and runs no script.
/// </summary>
/// <remarks>
/// Memory does not grow with the run: each metric has a few hundred buckets, and of the rollouts only the most informative groups of the
/// first and last step are kept. Text of models, data sets and options is shown, never interpreted. Each checkpoint stores the state of the
/// report, so that the page of a resumed run covers the whole run. If a checkpoint lacks it, the later steps go to another page, and the
/// page of the earlier steps is not changed.
/// </remarks>
public sealed class HtmlReport : ITrainingCallback, ICheckpointedCallback
{
    private readonly string _path;
    private readonly IReadOnlyList<KeyValuePair<string, string>> _facts;
    private readonly TokenDetails? _tokens;
    private RunHistory _history = new(null);
    private bool _started;

    /// <summary>Creates the callback. The page is written when the run ends.</summary>
    /// <param name="path">The path of the file. Its folder is created if it is missing, and an older report is replaced.</param>
    /// <param name="facts">
    /// Further facts about the run, such as model, data and command. The page shows them in this order. Null for none.
    /// </param>
    /// <param name="tokens">
    /// The policy and tokenizer for coloring tokens by ratio and entropy, which takes two forward passes at the end. Null to color each
    /// completion as a whole.
    /// </param>
    public HtmlReport(string path, IReadOnlyList<KeyValuePair<string, string>>? facts = null, TokenDetails? tokens = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        _path = path;
        _facts = facts is null ? [] : [.. facts];
        _tokens = tokens;
    }

    /// <summary>
    /// The path of the file that is written. It is the given path, or another one in its folder, such as report-from-step-15.html, if the
    /// first steps of the run are not recorded.
    /// </summary>
    public string FilePath => _history.FirstStep == 0 ? _path : Path.Combine(
        Path.GetDirectoryName(_path) ?? string.Empty,
        FormattableString.Invariant(
            $"{Path.GetFileNameWithoutExtension(_path)}-from-step-{_history.FirstStep + 1}{Path.GetExtension(_path)}"));

    private string Folder => Path.GetDirectoryName(Path.GetFullPath(_path))!;

    /// <inheritdoc/>
    /// <exception cref="IOException">The folder of the file cannot be created.</exception>
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
    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        _history.Add(step);
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

    // Writes to a temporary file and renames it, so that readers see the old report or the new one, never a partial one.
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
            var file = new StreamWriter(temporary); // File.WriteAllText preallocates, and its error on a full disk lacks the error code
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

/// <summary>
/// The policy and tokenizer that a report uses to show completions token by token. Both are borrowed and used at the end of the run.
/// </summary>
/// <param name="Policy">The policy in training. If it cannot compute entropies, the report shows none.</param>
/// <param name="Tokenizer">The tokenizer of the policy.</param>
public sealed record TokenDetails(IPolicy Policy, ITokenizer Tokenizer);
