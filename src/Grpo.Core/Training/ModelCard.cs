using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.IO;

namespace Grpo.Training;

/// <summary>
/// A model card: the page that a hub shows for a model. It states data, reward, method and results with their confidence intervals.
/// </summary>
/// <remarks>
/// <see cref="FromCheckpointAsync"/> fills it from the records of a run. The records know the data by count and hash, not by name, so set
/// <see cref="Data"/> and <see cref="License"/> yourself. Values that look like a local path or a token are hidden.
/// </remarks>
public sealed class ModelCard
{
    /// <summary>The name of the file in the folder of a model.</summary>
    public const string FileName = "README.md";

    private const string DataSet = "data set";

    /// <summary>The title of the page, in one line.</summary>
    public required string Title { get; set; }

    /// <summary>The id of the base model on the hub, owner/name. Null if it has none.</summary>
    public string? BaseModel { get; set; }

    /// <summary>The identifier of the license, such as "apache-2.0".</summary>
    /// <value>Letters, digits, '.' and '-'. Default "unknown".</value>
    public string License { get; set; } = "unknown";

    /// <summary>The library that loads the model: "transformers", or "peft" for an adapter.</summary>
    public string LibraryName { get; set; } = "transformers";

    /// <summary>The task of the model in the words of the hub.</summary>
    /// <value>Default "text-generation".</value>
    public string PipelineTag { get; set; } = "text-generation";

    /// <summary>The tags by which the model is found.</summary>
    /// <value>Default "grpo" and "reinforcement-learning".</value>
    public IReadOnlyList<string> Tags { get; set; } = ["grpo", "reinforcement-learning"];

    /// <summary>The ids of the training data sets on the hub, owner/name.</summary>
    /// <value>Default: none.</value>
    public IReadOnlyList<string> Datasets { get; set; } = [];

    /// <summary>A description of the training data. Null if there is none.</summary>
    public string? Data { get; set; }

    /// <summary>The facts about the model and its tokenizer, by name.</summary>
    public IReadOnlyDictionary<string, string> Model { get; set; } = new Dictionary<string, string>();

    /// <summary>The facts about the reward, by name: its kind, parts, weights and settings.</summary>
    public IReadOnlyDictionary<string, string> Reward { get; set; } = new Dictionary<string, string>();

    /// <summary>The options of the run by name, as texts. Null for an option without a value.</summary>
    public IReadOnlyDictionary<string, string?> Options { get; set; } = new Dictionary<string, string?>();

    /// <summary>The task: system message, form of answers and lengths. Null if unknown.</summary>
    public TaskDescription? Task { get; set; }

    /// <summary>The results, in the order in which they are shown.</summary>
    public IReadOnlyList<ModelCardResult> Results { get; set; } = [];

    /// <summary>Creates a card from the records of a run in the folder of a checkpoint.</summary>
    /// <param name="folder">The folder of a checkpoint. A folder without records gives a card that says so.</param>
    /// <param name="title">The title of the page.</param>
    /// <returns>The card. Its results are the evaluation before training and the last one up to the checkpoint.</returns>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="InvalidDataException">A record is damaged. The message names the file.</exception>
    public static async Task<ModelCard> FromCheckpointAsync(string folder, string title)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentException.ThrowIfNullOrWhiteSpace(title);
        if (!Directory.Exists(folder))
        {
            throw new DirectoryNotFoundException(
                $"There is no folder '{TerminalText.EscapeLine(folder)}'. Give the folder of a checkpoint.");
        }

        SavedOptions? options = SavedOptions.Read(folder);
        IReadOnlyDictionary<string, string> facts = options?.Identity ?? new Dictionary<string, string>();
        return new ModelCard
        {
            Title = title,
            Data = options?.Options.GetValueOrDefault(DataSet),
            Model = Under(facts, "model"),
            Reward = Under(facts, "reward"),
            Options = (options?.Options ?? new Dictionary<string, string?>()).Where(option => option.Key != DataSet).ToDictionary(),
            Task = TaskDescription.Read(folder),
            Results = ResultsOf(TrainerState.Read(folder), await CheckpointManifest.FindStepAsync(folder).ConfigureAwait(false)),
        };
    }

    /// <summary>Returns the page: front matter in YAML, then Markdown.</summary>
    /// <exception cref="InvalidOperationException">A property is malformed. The message names it and what is allowed.</exception>
    public string ToMarkdown() => new ModelCardPage(this).Write();

    /// <summary>Writes <see cref="FileName"/> into an existing folder. A file of that name is replaced.</summary>
    /// <param name="folder">The folder of a model.</param>
    /// <exception cref="InvalidOperationException">A property is malformed.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        File.WriteAllText(Path.Combine(folder, FileName), ToMarkdown());
    }

    private static Dictionary<string, string> Under(IReadOnlyDictionary<string, string> facts, string room) => facts
        .Where(fact => fact.Key == room || fact.Key.StartsWith(room + ".", StringComparison.Ordinal))
        .ToDictionary();

    private static ModelCardResult[] ResultsOf(TrainerState? state, long? step)
    {
        EvaluatedStep[] all = [.. (state?.Evaluations ?? []).Select(evaluation => evaluation.ToEvaluatedStep())];
        return all switch
        {
            [] => [],
            [var only] => [From(only)],
            [var first, .., var last] => [From(first), From(last)],
        };

        ModelCardResult From(EvaluatedStep evaluated) => new(
            evaluated.Step == 0 ? "before training" : FormattableString.Invariant($"after step {evaluated.Step}"), evaluated.Evaluation)
        {
            IsOfThisModel = evaluated.Step == step,
        };
    }
}

/// <summary>A result on a model card.</summary>
/// <param name="Name">The name of the evaluation, such as "after step 200".</param>
/// <param name="Report">The evaluation.</param>
public sealed record ModelCardResult(string Name, EvaluationReport Report)
{
    /// <summary>True if the model of the card was evaluated, false if an earlier state of it. Only the first is shown to search.</summary>
    public bool IsOfThisModel { get; init; } = true;

    /// <summary>The held-out data: an id on the hub, owner/name, or a description.</summary>
    public string Data { get; init; } = "held-out problems";
}
