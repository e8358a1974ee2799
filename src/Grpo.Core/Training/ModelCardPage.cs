using System.Globalization;
using System.Text;
using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>Writes the page of a <see cref="ModelCard"/>.</summary>
internal sealed class ModelCardPage(ModelCard card)
{
    // The options that decide the method. All others follow in a table that is folded.
    private static readonly string[] Method =
    [
        "GrpoOptions.Objective", "GrpoOptions.Advantage", "GrpoOptions.Reduction", "GrpoOptions.KlCoefficient", "GrpoOptions.GroupSize",
        "GrpoOptions.PromptsPerStep", "GrpoOptions.UpdatesPerRollout", "GrpoOptions.LearningRate", "GrpoOptions.Schedule",
        "GrpoOptions.Sampling.Temperature", "GrpoOptions.Sampling.MaxCompletionTokens", "GrpoOptions.Seed", "TrainerOptions.Steps",
        "SupervisedOptions.Steps", "SupervisedOptions.LearningRate", "SupervisedOptions.Seed",
    ];

    private readonly StringBuilder _page = new();

    /// <exception cref="InvalidOperationException">A property is malformed.</exception>
    public string Write()
    {
        Check();
        FrontMatter();
        Line($"# {ModelCardText.Line(card.Title)}");
        Line();
        Line("This model was trained with Grpo, a .NET library for group relative policy optimization (GRPO).");
        Section("Data", Data);
        Section("Reward", () => Facts(card.Reward, "The reward is not recorded."));
        Section("Method", WriteMethod);
        Section("Results", Results);
        Section("Use", Use);
        Section("License", License);
        return _page.ToString();
    }

    private void Check()
    {
        Require(!string.IsNullOrWhiteSpace(card.Title), nameof(ModelCard.Title), card.Title, "a line of text");
        Require(card.BaseModel is null || ModelCardText.IsId(card.BaseModel), nameof(ModelCard.BaseModel), card.BaseModel, "owner/name");
        RequireWord(nameof(ModelCard.License), card.License);
        RequireWord(nameof(ModelCard.LibraryName), card.LibraryName);
        RequireWord(nameof(ModelCard.PipelineTag), card.PipelineTag);
        foreach (string tag in card.Tags)
        {
            RequireWord(nameof(ModelCard.Tags), tag);
        }

        foreach (string dataset in card.Datasets)
        {
            Require(ModelCardText.IsId(dataset), nameof(ModelCard.Datasets), dataset, "owner/name");
        }
    }

    private static void RequireWord(string name, string value) =>
        Require(ModelCardText.IsWord(value), name, value, "one word of letters, digits, '.', '_' and '-'");

    private static void Require(bool holds, string name, string? value, string allowed)
    {
        if (!holds)
        {
            throw new InvalidOperationException($"ModelCard.{name} is '{IO.TerminalText.EscapeLine(value)}' but must be {allowed}.");
        }
    }

    private void FrontMatter()
    {
        Line("---");
        Line($"license: {ModelCardText.Yaml(card.License)}");
        Line($"library_name: {ModelCardText.Yaml(card.LibraryName)}");
        Line($"pipeline_tag: {ModelCardText.Yaml(card.PipelineTag)}");
        if (card.BaseModel is { } model)
        {
            Line($"base_model: {ModelCardText.Yaml(model)}");
        }

        List("tags", card.Tags);
        List("datasets", card.Datasets);
        ModelCardResult[] results = [.. card.Results.Where(result => result.IsOfThisModel && result.Report.Accuracy is not null)];
        if (results.Length > 0)
        {
            Line("model-index:");
            Line($"- name: {ModelCardText.Yaml(card.Title)}");
            Line("  results:");
            foreach (ModelCardResult result in results)
            {
                Index(result);
            }
        }

        Line("---");
        Line();
    }

    private void Index(ModelCardResult result)
    {
        string data = Shown(result.Data);
        Line("  - task:");
        Line($"      type: {ModelCardText.Yaml(card.PipelineTag)}");
        Line("    dataset:");
        Line($"      name: {ModelCardText.Yaml(data)}");
        Line($"      type: {ModelCardText.Yaml(ModelCardText.IsId(data) ? data : "other")}");
        Line("    metrics:");
        Metric("accuracy", result.Report.Accuracy!.Value, result.Report.AccuracyInterval, result.Report);
        foreach (SampledAccuracy row in result.Report.Sampled?.Accuracies ?? [])
        {
            Metric(FormattableString.Invariant($"pass@{row.K}"), row.Pass, row.PassInterval, result.Report);
        }
    }

    private void Metric(string type, double value, ConfidenceInterval? interval, EvaluationReport report)
    {
        string range = interval is { } ends
            ? string.Create(CultureInfo.InvariantCulture, $", {Level(report)} interval {ends.Low:0.####} to {ends.High:0.####}")
            : "";
        Line($"    - type: {ModelCardText.Yaml(type)}");
        Line(string.Create(CultureInfo.InvariantCulture, $"      value: {value:0.0###}"));
        Line($"      name: {ModelCardText.Yaml(string.Create(CultureInfo.InvariantCulture, $"{type} ({report.Count} problems{range})"))}");
    }

    private void Data()
    {
        Line(card.Datasets.Count == 0
            ? "No data set on a hub is named."
            : $"Training data: {string.Join(", ", card.Datasets.Select(ModelCardText.Line))}.");
        Line();
        Line(card.Data is { Length: > 0 } data ? $"{ModelCardText.Fact(data).TrimEnd('.')}." : "The data is not recorded further.");
    }

    private void WriteMethod()
    {
        if (card.Options.Count == 0)
        {
            Line("The options of the run are not recorded.");
            return;
        }

        Table(card.Options.Where(option => Method.Contains(option.Key)).OrderBy(option => Array.IndexOf(Method, option.Key)));
        Line();
        Line("<details><summary>All options</summary>");
        Line();
        Table(card.Options.OrderBy(option => option.Key, StringComparer.Ordinal));
        Line();
        Line("</details>");
        if (card.Model.Count > 0)
        {
            Line();
            Line("<details><summary>The model before training</summary>");
            Line();
            Facts(card.Model, string.Empty);
            Line();
            Line("</details>");
        }
    }

    private void Results()
    {
        if (card.Results.Count == 0)
        {
            Line("No evaluation is recorded.");
            return;
        }

        Line("| Evaluation | Data | Problems | Measure | Value | Interval |");
        Line("|---|---|---|---|---|---|");
        foreach (ModelCardResult result in card.Results)
        {
            EvaluationReport report = result.Report;
            Row(result, "accuracy", report.Accuracy, report.AccuracyInterval);
            Row(result, "accuracy, lenient", report.LenientAccuracy, report.LenientInterval);
            foreach (SampledAccuracy row in report.Sampled?.Accuracies ?? [])
            {
                Row(result, FormattableString.Invariant($"pass@{row.K}"), row.Pass, row.PassInterval);
                Row(result, FormattableString.Invariant($"maj@{row.K}"), row.Majority, row.MajorityInterval);
            }

            if (double.IsFinite(report.MeanReward))
            {
                Row(result, "mean reward", string.Create(CultureInfo.InvariantCulture, $"{report.MeanReward:0.###}"), "–");
            }
        }

        Line();
        Line("The intervals are Wilson intervals. They tell how much a value depends on the choice of the problems, and not how much it");
        Line("would differ in another run: this is one run. Intervals that overlap decide nothing.");
        if (!card.Results.Any(result => result.IsOfThisModel))
        {
            Line();
            Line("These are evaluations of earlier states of the model. This state was not evaluated.");
        }
    }

    private void Use()
    {
        if (card.Task is not { } task)
        {
            Line("The prompts of the training are not recorded.");
            return;
        }

        Line("The model answers best if it is prompted as in its training.");
        Line();
        Line($"- Form of the answer: {ModelCardText.Fact(task.AnswerFormat ?? "not recorded")}");
        Line($"- Longest prompt and completion in tokens: {Number(task.MaxPromptTokens)} and {Number(task.MaxCompletionTokens)}");
        Line(task.SystemPrompt is null ? "- System message: none" : "- System message:");
        if (task.SystemPrompt is { } prompt)
        {
            Line();
            _page.Append(ModelCardText.Block(prompt));
        }
    }

    private void License()
    {
        Line($"License of this model: {ModelCardText.Line(card.License)}.");
        if (card.License == "unknown")
        {
            Line();
            Line("The author has stated none. The licenses of the base model and of the data apply in any case.");
        }
    }

    private void Row(ModelCardResult result, string measure, double? value, ConfidenceInterval? interval)
    {
        if (value is { } fraction)
        {
            string range = interval is { } ends
                ? $"{Level(result.Report)}: {ModelCardText.Percent(ends.Low)} to {ModelCardText.Percent(ends.High)}"
                : "–";
            Row(result, measure, ModelCardText.Percent(fraction), range);
        }
    }

    private void Row(ModelCardResult result, string measure, string value, string interval)
    {
        string count = result.Report.Count.ToString(CultureInfo.InvariantCulture);
        string[] cells =
            [ModelCardText.Fact(result.Name), ModelCardText.Line(Shown(result.Data)), count, measure, value, interval];
        Line($"| {string.Join(" | ", cells)} |");
    }

    private static string Level(EvaluationReport report) =>
        string.Create(CultureInfo.InvariantCulture, $"{100 * report.Confidence:0.##} %");

    // A file on the machine of the author is nobody else's business.
    private static string Shown(string data) => ModelCardText.IsId(data) || ModelCardText.Fact(data) != "(a local path)"
        ? ModelCardText.WithoutToken(data)
        : "held-out problems in a file of the author";

    private void Facts(IReadOnlyDictionary<string, string> facts, string otherwise)
    {
        if (facts.Count == 0)
        {
            Line(otherwise);
            return;
        }

        Table(facts.Select(fact => new KeyValuePair<string, string?>(fact.Key, fact.Value)));
    }

    private void Table(IEnumerable<KeyValuePair<string, string?>> rows)
    {
        Line("| Name | Value |");
        Line("|---|---|");
        foreach ((string name, string? value) in rows)
        {
            Line($"| {ModelCardText.Line(name)} | {ModelCardText.Fact(value)} |");
        }
    }

    private void Section(string title, Action write)
    {
        Line();
        Line($"## {title}");
        Line();
        write();
    }

    private void List(string name, IReadOnlyList<string> values)
    {
        if (values.Count > 0)
        {
            Line($"{name}:");
            foreach (string value in values)
            {
                Line($"- {ModelCardText.Yaml(value)}");
            }
        }
    }

    private void Line(string text = "") => _page.Append(text).Append('\n');

    private static string Number(int? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "unknown";
}
