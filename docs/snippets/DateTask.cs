using System.Globalization;
using System.Text.Json;
using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Models.Qwen;
using Grpo.Training;

namespace Grpo.Snippets;

/// <summary>docs/your-own-task.md: reads the prompts of a task from a file of JSON lines.</summary>
public static class DateTask
{
    public const string SystemPrompt = "Reply with the date of the event in the form 2024-05-31 and nothing else.";

    public static IReadOnlyList<Prompt> Load(string path) =>
        [.. File.ReadLines(path).Select((line, index) => ToPrompt(line, $"{Path.GetFileNameWithoutExtension(path)}/{index + 1}"))];

    private static Prompt ToPrompt(string line, string id)
    {
        using JsonDocument row = JsonDocument.Parse(line);
        string text = row.RootElement.GetProperty("text").GetString()!;
        string date = row.RootElement.GetProperty("date").GetString()!;
        return Prompt.Create(id, text, answer: date, system: SystemPrompt);
    }
}

/// <summary>Pays 1 for the right date, 0.2 for another date in the right form, and 0 for anything else.</summary>
public sealed class DateReward : CompletionReward
{
    public override Reward Score(Prompt prompt, Completion completion)
    {
        string answer = completion.Text.Trim();
        if (answer == prompt.Answer)
        {
            return new Reward(1.0) { Verdict = "Right", IsCorrect = true };
        }

        bool isDate = DateOnly.TryParseExact(answer, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _);
        return new Reward(isDate ? 0.2 : 0.0) { Verdict = isDate ? "OtherDate" : "NotADate", IsCorrect = false };
    }
}

/// <summary>Trains on the task, and asks the trained model.</summary>
public static class DateRun
{
    public static async Task<TrainingSummary> TrainAsync(
        string model, string device, string folder, TrainerOptions run, CancellationToken cancellationToken)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(model, new QwenLoadOptions { Device = device }, cancellationToken);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        var reward = new DateReward();
        var options = new GrpoOptions { GroupSize = 8, PromptsPerStep = 8, LearningRate = 1e-6 };
        options.Sampling.MaxCompletionTokens = 32;                                        // a date has about 10 tokens

        using var optimizer = new GrpoOptimizer(qwen.Policy, sampler, reward, options);
        using var files = new JsonLinesLogger(folder);                                    // metrics.jsonl and completions.jsonl
        var report = new HtmlReport(Path.Combine(folder, "report.html"));
        var trainer = new GrpoTrainer(optimizer, DateTask.Load("dates-train.jsonl"), run, new TrainerServices
        {
            Evaluator = new RewardEvaluator(sampler, reward, DateTask.Load("dates-test.jsonl"), options.Sampling.ToGreedy()),
            Checkpoints = new DirectoryCheckpointStore(Path.Combine(folder, "checkpoints")),
            Task = new TaskDescription { SystemPrompt = DateTask.SystemPrompt },
            Callbacks = [files, report],
        });
        return await trainer.TrainAsync(cancellationToken);
    }

    public static async Task<string> AskAsync(string checkpoint, string text, CancellationToken cancellationToken)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(checkpoint, new QwenLoadOptions(), cancellationToken);
        var request = new RolloutRequest
        {
            Prompts = [Prompt.Create("question", text, system: TaskDescription.Read(checkpoint)?.SystemPrompt)],
            GroupSize = 1,
            Sampling = new SamplingOptions { MaxCompletionTokens = 32 }.ToGreedy(),
        };
        IReadOnlyList<RolloutGroup> groups = await new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate)
            .SampleAsync(qwen.Policy, request, cancellationToken);
        return groups[0].Completions[0].Text;
    }
}
