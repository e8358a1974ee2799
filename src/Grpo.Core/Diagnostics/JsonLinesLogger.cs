using System.Text.Json;

namespace Grpo.Diagnostics;

/// <summary>Writes metrics.jsonl (one object a step) and completions.jsonl (one object a completion) into a folder; appends when they exist.</summary>
/// <remarks>Every line is flushed: a run that dies leaves whole lines behind.</remarks>
public sealed class JsonLinesLogger : ITrainingCallback, IDisposable
{
    private readonly StreamWriter _metrics;
    private readonly StreamWriter _completions;

    /// <summary>Opens the files.</summary>
    /// <param name="directory">The folder; made when it is not there.</param>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public JsonLinesLogger(string directory)
    {
        try
        {
            Directory.CreateDirectory(directory);
            _metrics = new StreamWriter(Path.Combine(directory, "metrics.jsonl"), append: true);
            _completions = new StreamWriter(Path.Combine(directory, "completions.jsonl"), append: true);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            _metrics?.Dispose();
            throw new IOException($"The output folder '{directory}' cannot be written: {exception.Message} Choose another folder.", exception);
        }
    }

    /// <inheritdoc/>
    public async ValueTask OnStepAsync(StepReport report, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(report);
        await WriteLineAsync(_metrics, json => WriteMetrics(json, report)).ConfigureAwait(false);
        foreach (ScoredGroup group in report.Groups)
        {
            for (int i = 0; i < group.Rewards.Count; i++)
            {
                int sample = i;
                await WriteLineAsync(_completions, json => WriteCompletion(json, report.Step, group, sample)).ConfigureAwait(false);
            }
        }

        // The step is done: a run that is being cancelled still records it.
        await _metrics.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await _completions.FlushAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        _metrics.Dispose();
        _completions.Dispose();
    }

    private static void WriteMetrics(Utf8JsonWriter json, StepReport report)
    {
        foreach ((string name, double value) in StepMetrics.From(report))
        {
            json.WriteNumber(name, value);
        }
    }

    private static void WriteCompletion(Utf8JsonWriter json, long step, ScoredGroup group, int sample)
    {
        Completion completion = group.Group.Completions[sample];
        Reward reward = group.Rewards[sample];
        json.WriteNumber("step", step);
        json.WriteString("prompt_id", group.Group.Prompt.Id);
        json.WriteNumber("sample", sample);
        json.WriteString("prompt", group.Group.Prompt.Messages[^1].Text);
        json.WriteString("completion", completion.Text);
        json.WriteString("answer", group.Group.Prompt.Answer);
        if (reward.Value is { } value)
        {
            json.WriteNumber("reward", value);
        }
        else
        {
            json.WriteNull("reward");
        }

        json.WriteString("verdict", reward.Verdict);
        json.WriteNumber("advantage", group.Advantages[sample]);
        json.WriteNumber("tokens", completion.TokenIds.Count);
        json.WriteString("finish_reason", completion.FinishReason.ToString());
    }

    private static Task WriteLineAsync(StreamWriter file, Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return file.WriteLineAsync(System.Text.Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }
}
