using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Losses;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo.Training;

/// <summary>
/// The content of <c>run_options.json</c>: the options, the data set and the plug-ins of the run that wrote a checkpoint. A resumed run is
/// compared with them.
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

    // Options that no number of the run depends on: durations, intervals, time limits and the reaction to failures.
    private static readonly HashSet<string> Free =
    [
        "TrainerOptions.Steps", "TrainerOptions.CheckpointEvery", "TrainerOptions.CheckpointInterval", "TrainerOptions.Resume",
        "TrainerOptions.AllowOptionChanges", "TrainerOptions.OnCheckpointFailure", "GrpoOptions.Rewards.Timeout",
        "GrpoOptions.Rewards.MaxConcurrency", "GrpoOptions.Rewards.OnError", "SupervisedOptions.CheckpointEvery",
        "SupervisedOptions.CheckpointInterval", "SupervisedOptions.EvaluateEvery", "SupervisedOptions.MaxTokens",
        "SupervisedOptions.Resume", "SupervisedOptions.AllowOptionChanges",
    ];

    // With roll-backs these options change the weights. Without them they only decide when the run ends.
    private static readonly string[] RollBack = ["TrainerOptions.Guard.", "TrainerOptions.EvaluateEvery", "TrainerOptions.KeepBest"];

    public required int Format { get; init; }

    /// <summary>The option texts of <see cref="OptionText"/> by the names of the options.</summary>
    public required IReadOnlyDictionary<string, string?> Options { get; init; }

    /// <summary>
    /// The facts about the plug-ins by name (<see cref="IHasIdentity"/>). Null in files of versions that did not save them. Those versions
    /// ignore the field, so the format number is unchanged.
    /// </summary>
    public IReadOnlyDictionary<string, string>? Identity { get; init; }

    /// <summary>Creates the options of a GRPO run that is about to start.</summary>
    /// <param name="grpo">The options of the optimizer.</param>
    /// <param name="trainer">The options of the trainer.</param>
    /// <param name="prompts">The data set.</param>
    /// <param name="identity">The identity of the plug-ins; null to save none.</param>
    /// <param name="evaluator">The evaluator; null if there is none.</param>
    public static SavedOptions Create(
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

        return Create(OptionText.From(grpo, Grpo).Concat(OptionText.From(trainer, Trainer)), PromptText.Describe(prompts), facts, prompts);
    }

    /// <summary>Creates the options of a supervised run that is about to start.</summary>
    /// <param name="options">The options of the trainer.</param>
    /// <param name="examples">The data set.</param>
    /// <param name="identity">The identity of the plug-ins.</param>
    public static SavedOptions Create(SupervisedOptions options, IReadOnlyList<SupervisedExample> examples, RunIdentity identity) =>
        Create(OptionText.From(options, Supervised), Describe(examples), new(identity.Facts, StringComparer.Ordinal), []);

    private static SavedOptions Create(
        IEnumerable<KeyValuePair<string, string?>> options, string dataSet, Dictionary<string, string>? facts,
        IReadOnlyList<Prompt> prompts)
    {
        // A separate fact, because a changed hash of the data set would refuse every checkpoint of versions that did not hash the fields.
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

    /// <summary>Writes the file into the folder of a checkpoint.</summary>
    public void Write(string directory) =>
        File.WriteAllBytes(
            Path.Combine(directory, FileName), JsonSerializer.SerializeToUtf8Bytes(this, TrainingJson.Default.SavedOptions));

    /// <summary>
    /// Reads the file from the folder of a checkpoint. Returns null if there is none, as in checkpoints of earlier versions.
    /// </summary>
    /// <exception cref="InvalidDataException">The file is damaged or has another format.</exception>
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
            SavedOptions? saved = JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), TrainingJson.Default.SavedOptions);
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

    /// <summary>Returns true if both belong to GRPO runs, or both to supervised runs.</summary>
    public bool IsOfSameTrainer(SavedOptions now) => IsSupervised(this) == IsSupervised(now);

    /// <summary>
    /// Returns the options that differ and change the numbers of the run, such as "GrpoOptions.LearningRate was 1E-06 and is 2E-06".
    /// </summary>
    /// <param name="now">The options of the run that resumes.</param>
    public IReadOnlyList<string> DifferencesTo(SavedOptions now)
    {
        // An option that the earlier version did not have counts as its default. An option that no longer exists counts as different.
        Dictionary<string, string?> defaults = new(OptionText.From(new GrpoOptions { LearningRate = GrpoOptions.FullTrainingRate }, Grpo)
            .Concat(OptionText.From(new TrainerOptions(), Trainer))
            .Concat(OptionText.From(new SupervisedOptions { LearningRate = SupervisedOptions.FullTrainingRate }, Supervised)));
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

        // The numbers are equal in main memory and next to the weights.
        static bool AreFloat32(params IEnumerable<string> moments) =>
            moments.All(where => where is nameof(OptimizerMoments.Float32) or nameof(OptimizerMoments.Host));

        string TextOf(IReadOnlyDictionary<string, string?> options, string name) =>
            !options.TryGetValue(name, out string? text) && !defaults.TryGetValue(name, out text) ? "unknown"
            : text is null ? None
            : name == Reduction ? LossReductionConverter.CurrentText(text) // checkpoints of earlier versions hold an earlier name
            : text;
    }

    /// <summary>
    /// Returns the facts about plug-ins that differ and change the numbers of the run. Empty if the checkpoint holds no facts.
    /// </summary>
    /// <param name="now">The options of the run that resumes.</param>
    public IReadOnlyList<string> PartDifferencesTo(SavedOptions now)
    {
        bool rollsBack = RollsBack(now); // a roll-back depends on the evaluator
        return FactDifferences(now, name => rollsBack || !IsOfEvaluator(name));
    }

    /// <summary>
    /// Returns the facts that make evaluations before and after the checkpoint incomparable. Without roll-backs no weight depends on them.
    /// Empty if one of the two runs does not evaluate.
    /// </summary>
    /// <param name="now">The options of the run that resumes.</param>
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

    // A run with Stop has not continued after a collapse. Switched to RollBack, it equals a run that had RollBack from the start.
    private bool RollsBack(SavedOptions now)
    {
        string before = Action(Options);
        return before == nameof(CollapseAction.RollBack)
            || (Action(now.Options) == nameof(CollapseAction.RollBack) && before != nameof(CollapseAction.Stop));

        static string Action(IReadOnlyDictionary<string, string?> options) =>
            options.GetValueOrDefault(OnCollapse) ?? nameof(CollapseAction.Stop);
    }
}

/// <summary>The JSON contract of the trainer's small files, without reflection. It refuses repeated fields and unexpected nulls.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    WriteIndented = true,
    NewLine = "\n",
    MaxDepth = 8,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SavedOptions))]
[JsonSerializable(typeof(TaskDescription))]
internal sealed partial class TrainingJson : JsonSerializerContext;
