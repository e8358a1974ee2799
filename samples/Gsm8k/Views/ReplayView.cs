using System.Globalization;
using Grpo.Callbacks;
using Grpo.IO;
using Grpo.Models.Qwen;
using Spectre.Console;

namespace Grpo.Samples.Gsm8k;

/// <summary>Shows a replay as a table and lists the differences.</summary>
internal static class ReplayView
{
    /// <summary>Shows the replay of a step.</summary>
    /// <param name="report">The report of the replay.</param>
    /// <param name="recorded">The recorded step.</param>
    /// <param name="next">The hash of the weights that the next step began with, or null if it is not recorded.</param>
    /// <param name="tolerance">The difference that rounding may cause.</param>
    /// <returns>True if nothing differs.</returns>
    public static bool Write(ReplayReport report, FlightStep recorded, string? next, double tolerance)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"Step {report.Step}: {recorded.Groups.Count} groups, {recorded.Groups.Sum(group => group.Completions.Count)} completions, "
            + $"{Trained(recorded)} of them trained on."));
        Table table = NewTable("", "recorded", "recomputed", "difference");
        table.AddRow(
            "weights before", Hash(report.RecordedWeights), Hash(report.Weights),
            report.Weights == report.RecordedWeights ? "none" : "others");
        if (next is not null)
        {
            table.AddRow("weights after", Hash(next), Hash(report.WeightsAfter), report.WeightsAfter == next ? "none" : "others");
        }

        for (int i = 0; i < report.Updates.Count; i++)
        {
            string of = report.Updates.Count == 1 ? string.Empty : string.Create(CultureInfo.InvariantCulture, $", update {i + 1}");
            (FlightUpdate? then, FlightUpdate? now) = report.Updates[i];
            Add($"loss{of}", then?.Loss, now?.Loss);
            if ((then ?? now)!.Kl is not null)
            {
                Add($"KL{of}", then?.Kl, now?.Kl);
            }

            Add($"gradient norm{of}", then?.GradientNorm, now?.GradientNorm);
        }

        AddLargest("advantages", report.Refusal is null ? report.AdvantageDifference : null);
        AddLargest("log-probs", report.LogProbs?.Nats);
        AddLargest("reference log-probs", report.ReferenceLogProbs?.Nats);
        AnsiConsole.Write(table);
        return Judge(report.Differences(tolerance));

        void Add(string name, double? then, double? now) => table.AddRow(name, Number(then), Number(now), Difference(now - then));
        void AddLargest(string name, double? difference)
        {
            if (difference is not null)
            {
                table.AddRow(name, "", "", AtMost(difference.Value));
            }
        }
    }

    /// <summary>Shows a completion that was sampled again.</summary>
    /// <returns>True if nothing differs.</returns>
    public static bool Write(RegeneratedCompletion completion, FlightStep step, int prompt, int sample, QwenTokenizer tokenizer)
    {
        Console.WriteLine(
            $"Step {step.Step}, prompt {prompt} ('{TerminalText.EscapeLine(step.Groups[prompt].PromptId)}'), sample {sample}, sampled "
            + $"again {(completion.Alone ? "in its group alone" : "in its whole round")}:");
        Table table = NewTable("", "recorded", "regenerated", "difference");
        bool sameWeights = completion.Weights == completion.RecordedWeights;
        table.AddRow("weights", Hash(completion.RecordedWeights), Hash(completion.Weights), sameWeights ? "none" : "others");
        table.AddRow(
            "tokens", Count(completion.Recorded.TokenIds.Count), Count(completion.Completion.TokenIds.Count),
            completion.FirstDifference is { } at ? $"from token {Count(at)} on" : "none");
        table.AddRow("log-probs", "", "", completion.LogProbDifference is { } nats ? AtMost(nats) : "not recorded");
        AnsiConsole.Write(table);
        List<string> differences = [];
        if (!sameWeights)
        {
            differences.Add("The weights are not those that the completion was sampled from.");
        }

        if (completion.FirstDifference is { } first)
        {
            differences.Add(
                $"Token {Count(first)} is {Token(completion.Completion.TokenIds, first)} and was "
                + $"{Token(completion.Recorded.TokenIds, first)}.");
        }

        Console.WriteLine(TerminalText.Escape(completion.Completion.Text));
        return Judge(differences);

        string Token(IReadOnlyList<int> ids, int index) =>
            index < ids.Count
                ? $"{Count(ids[index])} '{TerminalText.EscapeLine(tokenizer.Decode([ids[index]], skipSpecialTokens: false))}'"
                : "none";
    }

    private static bool Judge(IReadOnlyList<string> differences)
    {
        if (differences.Count == 0)
        {
            Console.WriteLine("Nothing differs.");
        }

        foreach (string difference in differences)
        {
            Console.WriteLine($"Differs: {TerminalText.EscapeLine(difference)}");
        }

        return differences.Count == 0;
    }

    private static Table NewTable(string first, params IReadOnlyList<string> others)
    {
        Table table = new Table().AddColumn(first);
        foreach (string name in others)
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        return table;
    }

    private static int Trained(FlightStep step) =>
        step.Groups.Sum(group => group.Completions.Count(completion => completion.Part == FlightPart.Trained));

    private static string Hash(string hash) => hash[..12];

    private static string Count(int value) => value.ToString(CultureInfo.InvariantCulture);

    private static string Number(double? value) => value?.ToString("G9", CultureInfo.InvariantCulture) ?? "none";

    private static string AtMost(double difference) => difference == 0 ? "none" : $"{Difference(difference)} at most";

    private static string Difference(double? value) => value switch
    {
        null => "-",
        0 => "none",
        { } number => number.ToString("G2", CultureInfo.InvariantCulture),
    };
}
