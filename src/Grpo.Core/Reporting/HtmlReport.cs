namespace Grpo.Reporting;

/// <summary>
/// Writes one self-contained HTML page at the end of a run, also of one that was cancelled: charts, completions before and after, tokens in
/// colour, options and versions. The page loads nothing and runs no script.
/// </summary>
/// <remarks>
/// Memory does not grow with the run: numbers are joined into a few hundred buckets per metric, and of all rollouts the page keeps the groups
/// that taught most in the first and in the last step. Text of models, data sets and options is shown, never interpreted.
/// </remarks>
public sealed class HtmlReport : ITrainingCallback
{
    private readonly IReadOnlyList<KeyValuePair<string, string>> _facts;
    private readonly TokenDetails? _tokens;
    private RunHistory _history = new(null);

    /// <summary>Prepares a report; nothing is written before the run ends.</summary>
    /// <param name="path">The file; its folder is made when it is not there, and an older report is replaced.</param>
    /// <param name="facts">What else the page should say of the run, such as model, data and command; shown in this order. Null: nothing.</param>
    /// <param name="tokens">Lets the page colour tokens by ratio and entropy, for two forward passes at the end. Null: completions are coloured whole.</param>
    public HtmlReport(string path, IReadOnlyList<KeyValuePair<string, string>>? facts = null, TokenDetails? tokens = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FilePath = path;
        _facts = facts is null ? [] : [.. facts];
        _tokens = tokens;
    }

    /// <summary>Where the page is written.</summary>
    public string FilePath { get; }

    /// <inheritdoc/>
    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(start);
        _history = new RunHistory(start);
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
        string page = ReportPage.Render(_history, summary, _facts, _tokens);
        try
        {
            await WriteAsync(page).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw new IOException($"The report '{FilePath}' cannot be written: {exception.Message} Choose another file.", exception);
        }
    }

    // Beside the target and then renamed: a reader sees the old report or the new one, never half of one.
    private async Task WriteAsync(string page)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(FilePath))!);
        string temporary = $"{FilePath}.{Guid.NewGuid():N}.tmp";
        try
        {
            await File.WriteAllTextAsync(temporary, page).ConfigureAwait(false);
            File.Move(temporary, FilePath, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
