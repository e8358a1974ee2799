using System.CommandLine;
using System.Globalization;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Spectre.Console;

namespace Grpo.Samples.Gsm8k;

/// <summary>Greedy accuracy on held-out problems, by the extractor of the training reward and by a lenient one.</summary>
internal static class EvalCommand
{
    public static Command Create()
    {
        var command = new Command("eval", "Measures greedy accuracy on held-out problems.");
        Settings.AddTo(command, "Run", "Grpo");
        command.SetAction((parsed, cancellationToken) => RunAsync(Settings.Read(parsed), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, CancellationToken cancellationToken)
    {
        IReadOnlyList<Prompt> prompts = await Gsm8kTask.HeldOutAsync(settings, cancellationToken);
        using QwenPretrained qwen = await ModelLoader.LoadAsync(settings, withReference: false, cancellationToken);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        var judge = new Gsm8kReward(new Gsm8kRewardOptions { Format = settings.Run.AnswerFormat });
        EvaluationReport report = await new RewardEvaluator(sampler, judge, prompts, settings.Grpo.Sampling.ToGreedy())
            .EvaluateAsync(qwen.Policy, cancellationToken);
        int found = report.Rewards.Count(reward => reward.Components?["lenient"] == 1);

        var table = new Table().AddColumn("measure").AddColumn(new TableColumn("value").RightAligned());
        Add("problems", report.Count.ToString(CultureInfo.InvariantCulture));
        Add($"accuracy ({settings.Run.AnswerFormat})", report.Accuracy?.ToString("P1", CultureInfo.InvariantCulture) ?? "-");
        Add("accuracy (last number)", (found / (double)report.Count).ToString("P1", CultureInfo.InvariantCulture));
        Add("tokens per completion", report.MeanCompletionTokens.ToString("F1", CultureInfo.InvariantCulture));
        foreach ((string verdict, int count) in report.Verdicts)
        {
            Add($"verdict {verdict}", count.ToString(CultureInfo.InvariantCulture));
        }

        AnsiConsole.Write(table);
        return 0;

        void Add(string name, string value) => table.AddRow(Markup.Escape(name), value);
    }
}
