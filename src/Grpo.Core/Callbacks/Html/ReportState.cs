using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;

namespace Grpo.Callbacks;

/// <summary>The content of <c>report_state.json</c>, the state of a report in each checkpoint of the run.</summary>
internal sealed record ReportState
{
    public const int CurrentFormat = 1;

    private const string FileName = "report_state.json";
    private const long MaxBytes = 1L << 30;

    public required int Format { get; init; }

    /// <summary>The number of steps of all sessions up to the checkpoint, as are completion tokens and seconds below.</summary>
    public required long Steps { get; init; }

    public required long CompletionTokens { get; init; }

    public required double Seconds { get; init; }

    public required SavedHistory History { get; init; }

    /// <summary>The distinct lists of held-out completions. Before, After and Best are indices into this list.</summary>
    public required IReadOnlyList<IReadOnlyList<SavedAnswer>> Answers { get; init; }

    public required int? Before { get; init; }

    public required int? After { get; init; }

    public required int? Best { get; init; }

    /// <summary>The number of evaluations so far.</summary>
    public required int Evaluations { get; init; }

    /// <summary>The step of the best evaluation.</summary>
    public required long? BestStep { get; init; }

    public void Write(string directory)
    {
        using FileStream file = File.Create(Path.Combine(directory, FileName));
        JsonSerializer.Serialize(file, this, ReportStateJson.Default.ReportState);
    }

    /// <summary>Reads the state of a checkpoint; null if it has none that is valid.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <param name="problem">The reason for null, as the end of a sentence.</param>
    public static ReportState? Read(string directory, out string problem)
    {
        var file = new FileInfo(Path.Combine(directory, FileName));
        problem = !file.Exists ? $"'{directory}' holds no {FileName}"
            : file.Length > MaxBytes ? $"'{file.FullName}' has {file.Length} bytes" : string.Empty;
        if (problem.Length > 0)
        {
            return null;
        }

        try
        {
            using FileStream stream = file.OpenRead();
            ReportState? state = JsonSerializer.Deserialize(stream, ReportStateJson.Default.ReportState);
            string? wrong = state is null ? "holds null" : state.FindProblem();
            problem = wrong is null ? string.Empty : $"'{file.FullName}' {wrong}";
            return wrong is null ? state : null;
        }
        catch (JsonException exception)
        {
            problem = $"'{file.FullName}' is damaged: {TerminalText.EscapeLine(exception.Message.TrimEnd('.'))}";
            return null;
        }
    }

    // The serializer refuses a missing or null field, but accepts null as an element of a list.
    private string? FindProblem() => this switch
    {
        { Format: not CurrentFormat } => $"has format {Format}; this version reads format {CurrentFormat}",
        _ when Answers.Any(list => list is null || list.Any(answer => answer is null)) || !new[] { Before, After, Best }.All(IsIndex) =>
            "is damaged: its answers do not fit together",
        _ when !History.IsSound() => "is damaged: its history does not fit together",
        _ => null,
    };

    private bool IsIndex(int? value) => value is null || (value >= 0 && value < Answers.Count);
}

/// <summary>The saved numbers and groups of a <see cref="RunHistory"/>.</summary>
internal sealed record SavedHistory
{
    public required long FirstStep { get; init; }

    public required long LastStep { get; init; }

    public required double RolloutSeconds { get; init; }

    public required double ScoringSeconds { get; init; }

    public required double UpdateSeconds { get; init; }

    public required IReadOnlyDictionary<string, SavedSeries> Series { get; init; }

    public required IReadOnlyList<EvaluationPoint> Evaluations { get; init; }

    public required long EvaluationsSeen { get; init; }

    public required long EvaluationStride { get; init; }

    public required EvaluationPoint? LastEvaluation { get; init; }

    public required IReadOnlyList<SavedEvent> Events { get; init; }

    public required long MoreEvents { get; init; }

    /// <summary>The events that were noted before the report of their step; null if there are none.</summary>
    public IReadOnlyList<string>? NotedEarly { get; init; }

    public required IReadOnlyList<SavedGroup> FirstGroups { get; init; }

    public required IReadOnlyList<SavedGroup> LastGroups { get; init; }

    public bool IsSound() => EvaluationStride > 0
        && Series.Values.All(series => series is { Stride: > 0 }
            && series.Buckets.Count <= Callbacks.Series.Capacity && series.Buckets.All(bucket => bucket is { Length: 7 }))
        && Events.All(item => item is not null)
        && NotedEarly?.Any(text => text is null) != true
        && FirstGroups.Concat(LastGroups).All(group => group is not null && group.Completions.All(completion => completion is not null));
}

/// <summary>The saved form of a <see cref="Callbacks.Series"/>.</summary>
/// <param name="Stride">The number of steps of a full bucket.</param>
/// <param name="Buckets">For each bucket: first step, last step, number of steps, number of values, sum, minimum and maximum.</param>
internal sealed record SavedSeries(long Stride, IReadOnlyList<double[]> Buckets);

/// <summary>The saved form of an event.</summary>
/// <param name="Step">The step of the event.</param>
/// <param name="Text">The sentence about the event.</param>
internal sealed record SavedEvent(long Step, string Text);

/// <summary>The saved form of a group that is shown token by token.</summary>
internal sealed record SavedGroup(
    long Step, string PromptId, string Question, string? Answer, IReadOnlyList<int> PromptTokenIds, int Size,
    IReadOnlyList<SavedCompletion> Completions)
{
    public static SavedGroup From(ShownGroup group) => new(
        group.Step, group.Prompt.Id, SavedAnswer.QuestionOf(group.Prompt), group.Prompt.Answer, [.. group.PromptTokenIds], group.Size,
        [.. group.Completions.Select(shown => new SavedCompletion(
            shown.Sample, [.. shown.Completion.TokenIds], shown.Completion.Text, shown.Completion.FinishReason,
            shown.Completion.LogProbs is { } logProbs ? [.. logProbs] : null,
            shown.Reward.Value, shown.Reward.Verdict, shown.Reward.IsCorrect, shown.Advantage))]);

    public ShownGroup ToGroup() => new(
        Step, Prompt.Create(PromptId, Question, Answer), PromptTokenIds, Size,
        [.. Completions.Select(saved => new ShownCompletion(
            saved.Sample,
            new Completion(saved.TokenIds, saved.Text, saved.FinishReason) { LogProbs = saved.LogProbs },
            new Reward(saved.Reward) { Verdict = saved.Verdict, IsCorrect = saved.IsCorrect },
            saved.Advantage))]);
}

/// <summary>The saved form of a completion that is shown token by token.</summary>
internal sealed record SavedCompletion(
    int Sample, IReadOnlyList<int> TokenIds, string Text, FinishReason FinishReason, IReadOnlyList<float>? LogProbs, double? Reward,
    string? Verdict, bool? IsCorrect, double Advantage);

/// <summary>The saved form of a held-out prompt with its completion.</summary>
internal sealed record SavedAnswer(
    string PromptId, string Question, string? Expected, string Text, double? Reward, string? Verdict, bool? IsCorrect)
{
    public static string QuestionOf(Prompt prompt) => prompt.Messages.Count == 0 ? prompt.Id : prompt.Messages[^1].Text;
}

/// <summary>The serialization of <see cref="ReportState"/>, without reflection. A metric without a value is NaN.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    MaxDepth = 16,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ReportState))]
internal sealed partial class ReportStateJson : JsonSerializerContext;
