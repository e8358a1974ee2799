using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Losses;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo.Training;

/// <summary>
/// <c>run_options.json</c>: the options, the data set and the plug-ins of the run that wrote a checkpoint, to tell whether another
/// continues it.
/// </summary>
internal sealed record SavedOptions
{
    public const string FileName = "run_options.json";

    private const int CurrentFormat = 1;
    private const long MaxBytes = 1 << 20;
    private const string Grpo = "GrpoOptions.";
    private const string Trainer = "TrainerOptions.";
    private const string Supervised = "SupervisedOptions.";
    private const string Reduction = "GrpoOptions.Reduction";
    private const string OnCollapse = "TrainerOptions.Guard.OnCollapse";
    private const string Moments = "GrpoOptions.OptimizerMoments";
    private const string SupervisedMoments = "SupervisedOptions.OptimizerMoments";
    private const string SupervisedSteps = "SupervisedOptions.Steps";
    private const string SupervisedSchedule = "SupervisedOptions.Schedule";
    private const string DataSet = "data set";
    private const string DataSetFields = "data set.fields";
    private const string Evaluator = "evaluator";
    private const string None = "none";

    // They say how long, how often and how patiently, or what a failure ends; no number of the run depends on them.
    private static readonly HashSet<string> Free =
    [
        "TrainerOptions.Steps", "TrainerOptions.CheckpointEvery", "TrainerOptions.CheckpointInterval", "TrainerOptions.Resume",
        "TrainerOptions.AllowOptionChanges", "TrainerOptions.OnCheckpointFailure", "GrpoOptions.Rewards.Timeout",
        "GrpoOptions.Rewards.MaxConcurrency", "GrpoOptions.Rewards.OnError", "SupervisedOptions.CheckpointEvery",
        "SupervisedOptions.CheckpointInterval", "SupervisedOptions.EvaluateEvery", "SupervisedOptions.MaxTokens",
        "SupervisedOptions.Resume", "SupervisedOptions.AllowOptionChanges",
    ];

    // What decides on a roll-back changes the weights; otherwise it only says when the run ends.
    private static readonly string[] RollBack = ["TrainerOptions.Guard.", "TrainerOptions.EvaluateEvery", "TrainerOptions.KeepBest"];

    public required int Format { get; init; }

    /// <summary>Texts by name, as <see cref="OptionText"/> makes them.</summary>
    public required IReadOnlyDictionary<string, string?> Options { get; init; }

    /// <summary>
    /// Facts about the plug-ins by name (<see cref="IHasIdentity"/>); null in the files of versions that did not save them. Those
    /// versions pass over it, so the format is still theirs.
    /// </summary>
    public IReadOnlyDictionary<string, string>? Identity { get; init; }

    /// <summary>Creates the options of a GRPO run that is about to start.</summary>
    /// <param name="grpo">The options of the optimizer.</param>
    /// <param name="trainer">The options of the trainer.</param>
    /// <param name="prompts">The data set.</param>
    /// <param name="identity">The plug-ins; null: they are not saved.</param>
    /// <param name="evaluator">The evaluator, if there is one.</param>
    public static SavedOptions Of(
        GrpoOptions grpo, TrainerOptions trainer, IReadOnlyList<Prompt> prompts, RunIdentity? identity = null, IEvaluator? evaluator = null)
    {
        Dictionary<string, string>? facts = identity is null ? null : new(identity.Facts, StringComparer.Ordinal);
        if (facts is not null && evaluator is not null)
        {
            foreach ((string name, string value) in PlugInIdentity.Of(evaluator).Under(Evaluator))
            {
                facts[name] = value;
            }
        }

        return Of(OptionText.From(grpo, Grpo).Concat(OptionText.From(trainer, Trainer)), PromptText.Describe(prompts), facts, prompts);
    }

    /// <summary>Creates the options of a supervised run that is about to start.</summary>
    /// <param name="options">The options of the trainer.</param>
    /// <param name="examples">The data set.</param>
    /// <param name="identity">The plug-ins.</param>
    public static SavedOptions Of(SupervisedOptions options, IReadOnlyList<SupervisedExample> examples, RunIdentity identity) =>
        Of(OptionText.From(options, Supervised), Describe(examples), new(identity.Facts, StringComparer.Ordinal), []);

    private static SavedOptions Of(
        IEnumerable<KeyValuePair<string, string?>> options, string dataSet, Dictionary<string, string>? facts,
        IReadOnlyList<Prompt> prompts)
    {
        // Of the data set alone they would make another run of every checkpoint of the versions that did not look at them.
        if (facts is not null && PromptText.DescribeFields(prompts) is { } fields)
        {
            facts[DataSetFields] = fields;
        }

        var kept = new Dictionary<string, string?>(options.Where(option => option.Key.Split('.')[^1]
            is not (nameof(TrainerOptions.Resume) or nameof(TrainerOptions.AllowOptionChanges))))
        {
            [DataSet] = dataSet,
        };
        return new SavedOptions { Format = CurrentFormat, Options = kept, Identity = facts };
    }

    public void Write(string directory) =>
        File.WriteAllBytes(
            Path.Combine(directory, FileName), JsonSerializer.SerializeToUtf8Bytes(this, SavedOptionsJson.Default.SavedOptions));

    /// <summary>
    /// Reads what <see cref="Write"/> wrote; null when the checkpoint has no such file, as those of earlier versions have not.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is not ours, damaged, or of another format.</exception>
    public static SavedOptions? Read(string directory)
    {
        var file = new FileInfo(Path.Combine(directory, FileName));
        if (!file.Exists)
        {
            return null;
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"'{file.FullName}' has {file.Length} bytes; the limit for options is {MaxBytes}.");
        }

        try
        {
            SavedOptions? saved = JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), SavedOptionsJson.Default.SavedOptions);
            return saved switch
            {
                null => throw new InvalidDataException($"'{file.FullName}' does not hold options but null."),
                { Format: not CurrentFormat } => throw new InvalidDataException(
                    $"'{file.FullName}' has format {saved.Format}; this version reads format {CurrentFormat}."),
                _ => saved,
            };
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException(
                $"'{file.FullName}' does not hold options: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    /// <summary>True if both are of GRPO runs, or both of supervised ones.</summary>
    public bool IsOfSameTrainer(SavedOptions now) => IsSupervised(this) == IsSupervised(now);

    /// <summary>
    /// Returns the options that differ and change the numbers of the run: "GrpoOptions.LearningRate was 1E-06 and is 2E-06".
    /// </summary>
    /// <param name="now">The options of the run that wants to go on.</param>
    public IReadOnlyList<string> DifferencesTo(SavedOptions now)
    {
        // An option that a version does not know yet has its default there; one that it no longer knows cannot be what it was.
        Dictionary<string, string?> defaults = new(OptionText.From(new GrpoOptions(), Grpo)
            .Concat(OptionText.From(new TrainerOptions(), Trainer)).Concat(OptionText.From(new SupervisedOptions(), Supervised)));
        bool rollsBack = RollsBack(now);
        string curriculum = Trainer + nameof(TrainerOptions.Curriculum);
        SavedOptions[] sides = [this, now];
        bool hasCurriculum = sides.Any(side => TextOf(side.Options, curriculum) == nameof(CurriculumMode.PassRate));
        bool hasConstantRate = sides.All(side => TextOf(side.Options, SupervisedSchedule) == nameof(LearningRateSchedule.Constant));
        return
        [
            .. Options.Keys.Union(now.Options.Keys).Order(StringComparer.Ordinal).Where(Matters)
                .Select(name => (Name: name, Was: TextOf(Options, name), Is: TextOf(now.Options, name)))
                .Where(option => option.Was != option.Is
                    && !(option.Name is Moments or SupervisedMoments && AreFloat32(option.Was, option.Is)))
                .Select(option => Show(option.Name, option.Was, option.Is)),
        ];

        bool Matters(string name) => !Free.Contains(name)
            && (rollsBack || !RollBack.Any(start => name.StartsWith(start, StringComparison.Ordinal)))
            && (hasCurriculum || !name.StartsWith(Trainer + "PassRates.", StringComparison.Ordinal))
            && !(hasConstantRate && name == SupervisedSteps);

        // In main memory or beside the weights: the same numbers.
        static bool AreFloat32(params IEnumerable<string> moments) =>
            moments.All(where => where is nameof(OptimizerMoments.Float32) or nameof(OptimizerMoments.Host));

        string TextOf(IReadOnlyDictionary<string, string?> options, string name) =>
            !options.TryGetValue(name, out string? text) && !defaults.TryGetValue(name, out text) ? "unknown"
            : text is null ? None
            : name == Reduction ? LossReductionConverter.CurrentText(text) // checkpoints of earlier versions hold an earlier name
            : text;
    }

    /// <summary>
    /// Returns the facts about plug-ins that differ and change the numbers of the run; none when the checkpoint holds none.
    /// </summary>
    /// <param name="now">The run that wants to go on.</param>
    public IReadOnlyList<string> PartDifferencesTo(SavedOptions now)
    {
        bool rollsBack = RollsBack(now); // the evaluator decides on it
        return FactDifferences(now, name => rollsBack || !IsOfEvaluator(name));
    }

    /// <summary>
    /// Returns the facts by which evaluations before and after the checkpoint measure two different things. Where nothing is rolled back,
    /// no weight depends on them. None when one of the two runs does not evaluate.
    /// </summary>
    /// <param name="now">The run that wants to go on.</param>
    public IReadOnlyList<string> EvaluatorDifferencesTo(SavedOptions now) =>
        new[] { this, now }.All(side => side.Identity?.ContainsKey(Evaluator) == true) ? FactDifferences(now, IsOfEvaluator) : [];

    private static string Describe(IReadOnlyList<SupervisedExample> examples) => PromptText.Describe(
        examples.Count, "examples", examples.SelectMany(example => PromptText.Texts(example.Prompt).Append(example.Completion)));

    private static bool IsSupervised(SavedOptions saved) => saved.Options.ContainsKey(SupervisedSteps);

    private static bool IsOfEvaluator(string name) => name == Evaluator || name.StartsWith(Evaluator + ".", StringComparison.Ordinal);

    private static string Show(string name, string was, string now) => TerminalText.EscapeLine($"{name} was {was} and is {now}");

    private IReadOnlyList<string> FactDifferences(SavedOptions now, Func<string, bool> matters)
    {
        if (Identity is not { } before || now.Identity is not { } after)
        {
            return [];
        }

        return
        [
            .. before.Keys.Union(after.Keys).Order(StringComparer.Ordinal).Where(matters)
                .Select(name => (Name: name, Was: before.GetValueOrDefault(name) ?? None, Is: after.GetValueOrDefault(name) ?? None))
                .Where(fact => fact.Was != fact.Is)
                .Select(fact => Show(fact.Name, fact.Was, fact.Is)),
        ];
    }

    // A run that was to stop has not passed over a collapse: rolled back from now on, it is the run that would have been from the start.
    private bool RollsBack(SavedOptions now)
    {
        string before = Action(Options);
        return before == nameof(CollapseAction.RollBack)
            || (Action(now.Options) == nameof(CollapseAction.RollBack) && before != nameof(CollapseAction.Stop));

        static string Action(IReadOnlyDictionary<string, string?> options) =>
            options.GetValueOrDefault(OnCollapse) ?? nameof(CollapseAction.Stop);
    }
}

/// <summary>Reads and writes saved options without reflection; refuses missing and repeated fields.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    WriteIndented = true,
    NewLine = "\n",
    MaxDepth = 8,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SavedOptions))]
internal sealed partial class SavedOptionsJson : JsonSerializerContext;
