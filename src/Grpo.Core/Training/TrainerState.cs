using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.Evaluation;
using Grpo.IO;

namespace Grpo.Training;

/// <summary>The content of <c>trainer_state.json</c>, the file that a <see cref="GrpoTrainer"/> adds to a checkpoint.</summary>
internal sealed record TrainerState
{
    public const string FileName = "trainer_state.json";

    private const int CurrentFormat = 1;

    // Enough for a million prompts with short ids and the default window.
    private const long MaxBytes = 256 << 20;

    // Beyond any real run, and far enough from an overflow.
    private const long MaxPosition = 1L << 60;

    public required int Format { get; init; }

    /// <summary>The step of the best evaluation, which is the first one of that step; null without evaluations.</summary>
    public required long? BestStep { get; init; }

    public required IReadOnlyList<SavedEvaluation> Evaluations { get; init; }

    public required double? FirstEntropy { get; init; }

    public required IReadOnlyList<double> Entropies { get; init; }

    public required int RollBacks { get; init; }

    public required TrainingCollapse? Collapse { get; init; }

    /// <summary>The position in the order of prompts; null without a curriculum.</summary>
    public required long? Position { get; init; }

    public required IReadOnlyDictionary<string, PassRate> PassRates { get; init; }

    /// <summary>The events that the next step's report tells, as sentences; null if there are none.</summary>
    public IReadOnlyList<string>? Events { get; init; }

    /// <summary>Creates the state of a run at its current step.</summary>
    public static TrainerState From(TrainingProgress progress, PromptSchedule schedule) => new()
    {
        Format = CurrentFormat,
        BestStep = progress.Best?.Step,
        Evaluations = [.. progress.Evaluations.Select(SavedEvaluation.From)],
        FirstEntropy = progress.FirstEntropy,
        Entropies = progress.Entropies,
        RollBacks = progress.RollBacks,
        Collapse = progress.Collapse,
        Position = schedule.IsAdaptive ? schedule.Position : null,
        PassRates = schedule.IsAdaptive ? schedule.Records : new Dictionary<string, PassRate>(),
        Events = progress.Events.Count == 0 ? null : [.. progress.Events],
    };

    /// <summary>Writes the file into the folder of a checkpoint.</summary>
    /// <exception cref="InvalidOperationException">There are so many pass rates that the file would be too long to read.</exception>
    public void Write(string directory)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(this, TrainerStateJson.Default.TrainerState);
        if (json.Length > MaxBytes)
        {
            throw new InvalidOperationException(
                $"The pass rates of {PassRates.Count} prompts take {json.Length} bytes; the limit is {MaxBytes}. "
                + "Use shorter prompt ids, or set Curriculum to None.");
        }

        File.WriteAllBytes(Path.Combine(directory, FileName), json);
    }

    /// <summary>
    /// Reads the file from the folder of a checkpoint. Returns null if there is none, as in checkpoints of earlier versions.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is damaged or has another format.</exception>
    public static TrainerState? Read(string directory)
    {
        var file = new FileInfo(Path.Combine(directory, FileName));
        if (!file.Exists)
        {
            return null;
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"'{file.FullName}' has {file.Length} bytes; the limit for a trainer's state is {MaxBytes}.");
        }

        try
        {
            TrainerState? state = JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), TrainerStateJson.Default.TrainerState);
            string? problem = state switch
            {
                null => "it holds null.",
                { Format: not CurrentFormat } => $"it has format {state.Format}; this version reads format {CurrentFormat}.",
                _ => state.FindProblem(),
            };
            return problem is null ? state! : throw new InvalidDataException($"'{file.FullName}' is not a trainer's state: {problem}");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException(
                $"'{file.FullName}' is not a trainer's state: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    /// <summary>Returns the progress of the saved run, without the folder of the best checkpoint and without completions.</summary>
    public TrainingProgress ToProgress(int keepEntropies)
    {
        var progress = new TrainingProgress();
        progress.Restore(Evaluations.Select(evaluation => evaluation.ToEvaluatedStep()), BestStep);
        foreach (double entropy in Entropies)
        {
            progress.Add(entropy, keepEntropies);
        }

        progress.FirstEntropy = FirstEntropy;
        progress.RollBacks = RollBacks;
        progress.Collapse = Collapse;
        progress.Events.AddRange(Events ?? []);
        return progress;
    }

    // The serializer refuses missing and null fields, but not a null element of a list or dictionary.
    private string? FindProblem() => this switch
    {
        { RollBacks: < 0 } or { Position: < 0 } =>
            $"it counts {RollBacks} roll-backs and is at position {Position}; neither can be negative.",
        { Position: > MaxPosition } => $"it is at position {Position}; at most {MaxPosition} is possible.",
        { FirstEntropy: { } first } when !double.IsFinite(first) => "the first entropy is not a finite number.",
        _ when Evaluations.Any(evaluation => evaluation is not { Step: >= 0, Count: >= 0, Accuracy: null or (>= 0 and <= 1) }) =>
            "an evaluation has a negative count or step, or an accuracy outside 0 to 1.",
        _ when BestStep is not null && Evaluations.All(evaluation => evaluation.Step != BestStep) =>
            $"no evaluation is of step {BestStep}, the best.",
        _ when Events?.Any(text => text is null) == true => "one of its events is null.",
        _ when PassRates.Any(entry => entry.Value is not { Pause: >= 0, LastPause: >= 0, LastStep: >= 0 }
            || entry.Value.Rates.Any(rate => rate is not (>= 0 and <= 1))
            || (entry.Value.Rates.Count == 0 && entry.Value.Pause > 0)) => "a pass rate is outside 0 to 1, or a pause or step is negative.",
        _ => null,
    };
}

/// <summary>The numbers of an evaluation in <c>trainer_state.json</c>.</summary>
internal sealed record SavedEvaluation
{
    public required long Step { get; init; }

    public required int Count { get; init; }

    public required double? Accuracy { get; init; }

    public ConfidenceInterval? AccuracyInterval { get; init; }

    /// <summary>The mean reward; null if nothing was scored, because JSON has no NaN.</summary>
    public required double? MeanReward { get; init; }

    public required double MeanCompletionTokens { get; init; }

    public required IReadOnlyDictionary<string, int> Verdicts { get; init; }

    public static SavedEvaluation From(EvaluatedStep evaluated) => new()
    {
        Step = evaluated.Step,
        Count = evaluated.Evaluation.Count,
        Accuracy = evaluated.Evaluation.Accuracy,
        AccuracyInterval = evaluated.Evaluation.AccuracyInterval,
        MeanReward = double.IsFinite(evaluated.Evaluation.MeanReward) ? evaluated.Evaluation.MeanReward : null,
        MeanCompletionTokens = evaluated.Evaluation.MeanCompletionTokens,
        Verdicts = evaluated.Evaluation.Verdicts,
    };

    public EvaluatedStep ToEvaluatedStep() => new(Step, new EvaluationReport
    {
        Count = Count,
        Accuracy = Accuracy,
        AccuracyInterval = AccuracyInterval,
        MeanReward = MeanReward ?? double.NaN,
        MeanCompletionTokens = MeanCompletionTokens,
        Verdicts = Verdicts,
    });
}

/// <summary>The JSON contract of <see cref="TrainerState"/>, without reflection. It refuses repeated fields and unexpected nulls.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    NewLine = "\n",
    MaxDepth = 16,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(TrainerState))]
internal sealed partial class TrainerStateJson : JsonSerializerContext;
