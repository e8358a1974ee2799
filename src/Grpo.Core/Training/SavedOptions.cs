using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grpo.Diagnostics;
using Microsoft.Extensions.AI;

namespace Grpo;

/// <summary><c>run_options.json</c>: the options and the data set of the run that wrote a checkpoint, to tell whether another continues it.</summary>
internal sealed record SavedOptions
{
    public const string FileName = "run_options.json";

    private const int CurrentFormat = 1;
    private const long MaxBytes = 1 << 20;
    private const string Grpo = "GrpoOptions.";
    private const string Trainer = "TrainerOptions.";
    private const string OnCollapse = "TrainerOptions.Guard.OnCollapse";
    private const string Moments = "GrpoOptions.OptimizerMoments";
    private const string DataSet = "data set";

    // They say how long, how often and how patiently, or what a failure ends; no number of the run depends on them.
    private static readonly HashSet<string> Free =
    [
        "TrainerOptions.Steps", "TrainerOptions.CheckpointEvery", "TrainerOptions.CheckpointInterval", "TrainerOptions.Resume",
        "TrainerOptions.AllowOptionChanges", "TrainerOptions.OnCheckpointFailure", "GrpoOptions.Rewards.Timeout",
        "GrpoOptions.Rewards.MaxConcurrency", "GrpoOptions.Rewards.OnError",
    ];

    // What decides on a roll-back changes the weights; otherwise it only says when the run ends.
    private static readonly string[] RollBack = ["TrainerOptions.Guard.", "TrainerOptions.EvaluateEvery", "TrainerOptions.KeepBest"];

    public required int Format { get; init; }

    /// <summary>Texts by name, as <see cref="OptionText"/> makes them.</summary>
    public required IReadOnlyDictionary<string, string?> Options { get; init; }

    /// <summary>Those of a run that is about to start.</summary>
    public static SavedOptions Of(GrpoOptions grpo, TrainerOptions trainer, IReadOnlyList<Prompt> prompts)
    {
        IEnumerable<KeyValuePair<string, string?>> options = OptionText.Of(grpo, Grpo).Concat(OptionText.Of(trainer, Trainer))
            .Where(option => option.Key is not (Trainer + nameof(TrainerOptions.Resume) or Trainer + nameof(TrainerOptions.AllowOptionChanges)));
        return new SavedOptions { Format = CurrentFormat, Options = new Dictionary<string, string?>(options) { [DataSet] = Describe(prompts) } };
    }

    public void Write(string directory) =>
        File.WriteAllBytes(Path.Combine(directory, FileName), JsonSerializer.SerializeToUtf8Bytes(this, CheckpointJson.Default.SavedOptions));

    /// <summary>Reads what <see cref="Write"/> wrote; null when the checkpoint has no such file, as those of earlier versions have not.</summary>
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
            SavedOptions? saved = JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), CheckpointJson.Default.SavedOptions);
            return saved switch
            {
                null => throw new InvalidDataException($"'{file.FullName}' does not hold options but null."),
                { Format: not CurrentFormat } => throw new InvalidDataException($"'{file.FullName}' has format {saved.Format}; this version reads format {CurrentFormat}."),
                _ => saved,
            };
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{file.FullName}' does not hold options: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    /// <summary>What differs in a way that changes the numbers of the run, in words: "GrpoOptions.LearningRate was 1E-06 and is 2E-06".</summary>
    /// <param name="now">The options of the run that wants to go on.</param>
    public IReadOnlyList<string> DifferencesTo(SavedOptions now)
    {
        // An option that a version does not know yet has its default there; one that it no longer knows cannot be what it was.
        Dictionary<string, string?> defaults = new(OptionText.Of(new GrpoOptions(), Grpo).Concat(OptionText.Of(new TrainerOptions(), Trainer)));
        string before = TextOf(Options, OnCollapse);

        // A run that was to stop has not passed over a collapse: rolled back from now on, it is the run that would have been from the start.
        bool rollsBack = before == nameof(CollapseAction.RollBack)
            || (TextOf(now.Options, OnCollapse) == nameof(CollapseAction.RollBack) && before != nameof(CollapseAction.Stop));
        string curriculum = Trainer + nameof(TrainerOptions.Curriculum);
        bool hasCurriculum = new[] { this, now }.Any(side => TextOf(side.Options, curriculum) == nameof(CurriculumMode.PassRate));
        return
        [
            .. Options.Keys.Union(now.Options.Keys).Order(StringComparer.Ordinal).Where(Matters)
                .Select(name => (Name: name, Was: TextOf(Options, name), Is: TextOf(now.Options, name)))
                .Where(option => option.Was != option.Is && !(option.Name == Moments && IsFloat32(option.Was) && IsFloat32(option.Is)))
                .Select(option => TerminalText.EscapeLine($"{option.Name} was {option.Was} and is {option.Is}")),
        ];

        bool Matters(string name) => !Free.Contains(name)
            && (rollsBack || !RollBack.Any(start => name.StartsWith(start, StringComparison.Ordinal)))
            && (hasCurriculum || !name.StartsWith(Trainer + "PassRates.", StringComparison.Ordinal));

        // In main memory or beside the weights: the same numbers.
        static bool IsFloat32(string moments) => moments is nameof(OptimizerMoments.Float32) or nameof(OptimizerMoments.Host);

        string TextOf(IReadOnlyDictionary<string, string?> options, string name) =>
            options.TryGetValue(name, out string? text) || defaults.TryGetValue(name, out text) ? text ?? "none" : "unknown";
    }

    // Which prompts, in which order: both decide what a step is about.
    private static string Describe(IReadOnlyList<Prompt> prompts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (Prompt prompt in prompts)
        {
            Append(prompt.Id);
            Append(prompt.Answer ?? string.Empty);
            foreach (ChatMessage message in prompt.Messages)
            {
                Append(message.Role.Value);
                Append(message.Text);
            }
        }

        return FormattableString.Invariant($"{prompts.Count} prompts, SHA-256 {Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}");

        void Append(string text)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            hash.AppendData(BitConverter.GetBytes(bytes.LongLength)); // else "ab", "c" and "a", "bc" were one
            hash.AppendData(bytes);
        }
    }
}
