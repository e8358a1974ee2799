using System.Text.Json;
using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// A callback that writes metrics.jsonl (one object per step) and completions.jsonl (one object per completion) into a folder. It appends
/// to existing files.
/// </summary>
/// <remarks>
/// Every step is flushed to the disk before its checkpoint is written. A resumed run (<see cref="TrainingStart.Resumes"/>, or with steps
/// done) first drops the lines after its checkpoint, because those steps run again, and a truncated last line. So the files hold every step
/// once, however often the run was killed. A checkpoint counts the lines of its run. If a resumed run finds fewer, the
/// trainer logs a warning.
/// </remarks>
public sealed class JsonLinesLogger : ITrainingCallback, ICheckpointedCallback, IDisposable
{
    private readonly string _directory;
    private JsonLinesFile? _metrics;
    private JsonLinesFile? _completions;

    /// <summary>Creates the logger. It opens the files when the run starts.</summary>
    /// <param name="directory">The folder of the files. It is created if it is missing.</param>
    public JsonLinesLogger(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        _directory = directory;
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">
    /// The folder cannot be written, or the lines of later steps cannot be removed; the files are then unchanged.
    /// </exception>
    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(start);
        bool goesOn = start.Resumes || start.FirstStep > 0;
        (JsonLinesFile metrics, JsonLinesFile completions) = Open();
        foreach (JsonLinesFile file in new[] { metrics, completions })
        {
            Write(() =>
            {
                file.RequireThere();
                if (goesOn)
                {
                    file.DropAfter(start.FirstStep);
                }
                else
                {
                    file.Count = 0; // the existing lines belong to another run
                }
            });
        }

        if (start.Checkpoint is { } checkpoint && LogCounts.Read(checkpoint) is { } expected)
        {
            Compare("metrics.jsonl", metrics.Count, expected.Metrics);
            Compare("completions.jsonl", completions.Count, expected.Completions);
        }

        return ValueTask.CompletedTask;

        void Compare(string name, long there, long counted)
        {
            if (there < counted)
            {
                start.Warn?.Invoke(FormattableString.Invariant(
                    $"'{Path.Combine(_directory, name)}' has {there} of the {counted} lines that the checkpoint '{checkpoint}' counts. ")
                    + "Training goes on and adds its lines; those that are missing come back from a copy of the file only.");
            }
        }
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">The disk is full, or the files have become unwritable.</exception>
    /// <remarks>Ignores the token: the step is done, so a run that is being canceled still records it.</remarks>
    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        (JsonLinesFile metrics, JsonLinesFile completions) = Open();
        metrics.Count++; // counted before the write can fail, so that a resumed run notices a missing line
        completions.Count += step.Report.Groups.Sum(group => group.Rewards.Count);
        Write(() =>
        {
            metrics.RequireThere();
            completions.RequireThere();
            metrics.Append(json => WriteMetrics(json, step));
            foreach (ScoredGroup group in step.Report.Groups)
            {
                for (int i = 0; i < group.Rewards.Count; i++)
                {
                    int sample = i;
                    completions.Append(json => WriteCompletion(json, step.Step, group, sample));
                }
            }

            completions.Flush();
            metrics.Flush();
        });
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">The disk is full, or the files have become unwritable; they are then unchanged.</exception>
    /// <remarks>Inserts the metrics of the evaluation into the existing line of the step.</remarks>
    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        (JsonLinesFile metrics, _) = Open();
        Write(() =>
        {
            metrics.RequireThere();
            metrics.Amend(step, StepMetrics.From(evaluation), StepMetrics.AfterEvaluation);
        });
        return ValueTask.CompletedTask;
    }

    void ICheckpointedCallback.Save(string directory, TrainingSummary summary)
    {
        if (_metrics is not null && _completions is not null)
        {
            new LogCounts(_metrics.Count, _completions.Count).Write(directory);
        }
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        _metrics?.Dispose();
        _completions?.Dispose();
    }

    private (JsonLinesFile Metrics, JsonLinesFile Completions) Open()
    {
        if (_metrics is not null && _completions is not null)
        {
            return (_metrics, _completions); // a folder that is missing by now is not created again
        }

        try
        {
            Directory.CreateDirectory(_directory);
            _metrics ??= new JsonLinesFile(Path.Combine(_directory, "metrics.jsonl"));
            _completions ??= new JsonLinesFile(Path.Combine(_directory, "completions.jsonl"));
            return (_metrics, _completions);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception, "Choose another folder.");
        }
    }

    private void Write(Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception, "See to its permissions, and resume.");
        }
    }

    private IOException Failure(Exception cause, string remedy) =>
        new($"The output folder '{_directory}' cannot be written: {cause.Message} {WriteFailure.Remedy(cause, _directory, remedy)}", cause);

    private static void WriteMetrics(Utf8JsonWriter json, TrainingStep step)
    {
        foreach ((string name, double value) in StepMetrics.From(step))
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
}
