using System.CommandLine;
using System.Globalization;
using Grpo.Evaluation;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Microsoft.Extensions.AI;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>eval</c>, which measures accuracy on held-out problems with a confidence interval, in the format of the training reward
/// and leniently.
/// </summary>
/// <remarks>With --samples it also measures pass@k and maj@k. With --compare it compares two evaluations problem by problem.</remarks>
internal static class EvalCommand
{
    public static Command Create()
    {
        var samples = new Option<int>("--samples")
        {
            Description = "The number of completions to sample per problem for pass@k and maj@k, at --temperature. 0 for none.",
            DefaultValueFactory = _ => 0,
        };
        var json = new Option<string?>("--json")
        {
            Description = "The file to write the report to, problem by problem.",
            HelpName = "file",
        };
        var compare = new Option<string?>("--compare")
        {
            Description = "The file of an earlier evaluation of these problems, written with --json, to compare with.",
            HelpName = "file",
        };
        var command = new Command("eval", "Measures accuracy on held-out problems.") { samples, json, compare };
        Settings.AddTo(command, "Run", "Grpo");
        command.SetAction((parsed, cancellationToken) => RunAsync(
            Settings.Read(parsed), parsed.GetValue(samples), parsed.GetValue(json), parsed.GetValue(compare), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(
        Settings settings, int samples, string? json, string? compare, CancellationToken cancellationToken)
    {
        // The file is read first, so that a wrong name does not cost an evaluation.
        EvaluationReport? earlier = compare is null ? null : EvaluationFile.Read(compare);
        var options = new EvaluationOptions
        {
            AccuracySampling = settings.Grpo.Sampling.ToGreedy(),
            Samples = samples,
            PassSampling = samples > 0 ? settings.Grpo.Sampling : null,
            Seed = settings.Grpo.Seed,
        };
        options.Validate();
        settings.SayNotes();
        IReadOnlyList<Prompt> prompts = await Gsm8kTask.HeldOutAsync(settings, cancellationToken);
        using QwenPretrained qwen = await ModelLoader.LoadAsync(settings, cancellationToken);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        var judge = new Gsm8kReward(new Gsm8kRewardOptions { Format = settings.Run.AnswerFormat });
        EvaluationReport report = await new RewardEvaluator(sampler, judge, prompts, options).EvaluateAsync(qwen.Policy, cancellationToken);

        EvaluationView.Write(report, settings.Run.AnswerFormat.ToString());
        if (json is not null)
        {
            string? system = prompts[0].Messages.FirstOrDefault(message => message.Role == ChatRole.System)?.Text;
            EvaluationFile.Write(json, report, About(settings, options, system));
            Console.WriteLine($"Written to {json}.");
        }

        if (earlier is not null)
        {
            EvaluationView.Write(PairedComparison.Create(earlier, report), report.Confidence);
        }

        return 0;
    }

    private static Dictionary<string, string> About(Settings settings, EvaluationOptions options, string? system)
    {
        var about = new Dictionary<string, string>
        {
            ["model"] = settings.Run.Model is { Length: > 0 } model ? model : "tiny",
            ["dataset"] = settings.Run.EvalDataset is { Length: > 0 } held ? held
                : settings.Run.Dataset is { Length: > 0 } dataset ? dataset
                : "generated word problems",
            ["system_prompt"] = system ?? "",
            ["answer_format"] = settings.Run.AnswerFormat.ToString(),
            ["max_completion_tokens"] = options.AccuracySampling.MaxCompletionTokens.ToString(CultureInfo.InvariantCulture),
        };
        if (options.PassSampling is { } sampling)
        {
            about["seed"] = options.Seed.ToString(CultureInfo.InvariantCulture);
            about["temperature"] = sampling.Temperature.ToString(CultureInfo.InvariantCulture);
        }

        return about;
    }
}
