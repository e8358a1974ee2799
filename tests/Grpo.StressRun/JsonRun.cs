using System.Text.Json;
using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Planning;
using Grpo.Optimization;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.StressRun;

/// <summary>
/// Everything in the library that writes or reads JSON, in a process without reflection-based serialization, as in file-based and trimmed
/// apps.
/// </summary>
internal static class JsonRun
{
    private static readonly SamplingOptions Short = new() { MaxCompletionTokens = 8, MaxPromptTokens = 512 };

    /// <summary>Trains, resumes, exports, evaluates and replays in a folder, and prints the names of the files that it wrote.</summary>
    /// <param name="folder">The folder for all files.</param>
    public static async Task ExecuteAsync(string folder)
    {
        if (JsonSerializer.IsReflectionEnabledByDefault)
        {
            throw new InvalidOperationException("This run shows nothing: reflection-based JSON is on.");
        }

        string tiny = Path.Combine(AppContext.BaseDirectory, "tiny");
        string run = Path.Combine(folder, "run"), taught = Path.Combine(folder, "taught"), adapter = Path.Combine(folder, "adapter");
        await TrainAsync(tiny, run, steps: 2);
        await TrainAsync(tiny, run, steps: 3);
        await ReplayAsync(run);
        var checkpoints = new DirectoryCheckpointStore(Path.Combine(run, "checkpoints"));
        await checkpoints.MarkBestAsync(3);
        using (QwenPretrained again = await QwenPretrained.LoadAsync((await checkpoints.FindBestAsync())!))
        {
            await EvaluateAsync(again, Path.Combine(folder, "evaluation.json"));
            await TeachAsync(again, taught, steps: 1);
            await TeachAsync(again, taught, steps: 2);
            again.Tokenizer.Save(Directory.CreateDirectory(Path.Combine(folder, "tokenizer")).FullName);
        }

        using (QwenPretrained adapted = await QwenPretrained.LoadAsync(tiny, new QwenLoadOptions { Lora = new LoraOptions { Rank = 2 } }))
        {
            adapted.Policy.Save(Directory.CreateDirectory(adapter).FullName);
        }

        using (await QwenPretrained.LoadAsync(adapter))
        {
        }

        await QwenMemory.OfAsync(tiny);
        IEnumerable<string> written = Directory.EnumerateFiles(folder, "*.json*", SearchOption.AllDirectories)
            .Select(path => Path.GetFileName(path)!);
        foreach (string file in written.Distinct().Order(StringComparer.Ordinal))
        {
            Console.WriteLine(file);
        }
    }

    private static async Task TrainAsync(string model, string folder, long steps)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(model, new QwenLoadOptions { WithReference = true });
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        using var optimizer = new GrpoOptimizer(
            qwen.Policy, sampler, RewardFunction.WeightedSum((new Gsm8kReward(), 1.0), (new FormatReward(), 0.1)), Options(),
            qwen.Reference);
        using var files = new JsonLinesLogger(folder);
        using var recorder = new FlightRecorder(folder);
        var trainer = new GrpoTrainer(
            optimizer,
            Problems(8),
            new TrainerOptions
            {
                Steps = steps,
                CheckpointEvery = 1,
                EvaluateEvery = 1,
                Resume = true,
                Curriculum = CurriculumMode.PassRate,
            },
            new TrainerServices
            {
                Evaluator = new RewardEvaluator(sampler, new Gsm8kReward(), Problems(2), Short.ToGreedy()),
                Checkpoints = new DirectoryCheckpointStore(Path.Combine(folder, "checkpoints"), keepLast: 3),
                Callbacks =
                [
                    files,
                    recorder,
                    new HtmlReport(Path.Combine(folder, "report.html"), tokens: new TokenDetails(qwen.Policy, qwen.Tokenizer)),
                ],
            });
        await trainer.TrainAsync();
    }

    private static async Task ReplayAsync(string folder)
    {
        using FlightRecord record = FlightRecord.Open(folder);
        string? checkpoint = await FlightReplay.FindCheckpointAsync(Path.Combine(folder, "checkpoints"), record, step: 3);
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(checkpoint!, new QwenLoadOptions { WithReference = true });
        ReplayReport report = await new FlightReplay(qwen.Policy, record.SettingsOf(3).ToOptions(), qwen.Reference)
            .ReplayAsync(record.Read(3), checkpoint);
        Console.WriteLine($"replayed {report.Step}");
    }

    private static async Task EvaluateAsync(QwenPretrained qwen, string path)
    {
        var evaluator = new RewardEvaluator(
            new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate), new Gsm8kReward(), Problems(2),
            new EvaluationOptions { Samples = 2 });
        EvaluationFile.Write(path, await evaluator.EvaluateAsync(qwen.Policy), new Dictionary<string, string> { ["model"] = "tiny" });
        Console.WriteLine($"evaluated {EvaluationFile.Read(path).Count}");
    }

    private static async Task TeachAsync(QwenPretrained qwen, string folder, long steps)
    {
        SupervisedExample[] examples = [.. Problems(4).Select(prompt => new SupervisedExample(prompt, "<answer>1</answer>"))];
        var trainer = new SupervisedTrainer(
            qwen.Policy, new SupervisedData(examples, qwen.Tokenizer, qwen.ChatTemplate),
            new SupervisedOptions
            {
                Steps = steps,
                Schedule = LearningRateSchedule.Constant, // with other schedules the number of steps is part of the run's identity
                BatchSize = 2,
                MicroBatchSize = 2,
                CheckpointEvery = 1,
                Resume = true,
            },
            new SupervisedServices { Checkpoints = new DirectoryCheckpointStore(folder) });
        await foreach (SupervisedReport report in trainer.RunAsync())
        {
            Console.WriteLine($"taught {report.Step}");
        }
    }

    private static GrpoOptions Options() =>
        new() { GroupSize = 2, PromptsPerStep = 2, MicroBatchSize = 4, KlCoefficient = 0.01, Sampling = Short };

    private static IReadOnlyList<Prompt> Problems(int count) =>
        WordProblems.Generate(new WordProblemOptions { Seed = 1, Count = count, MinSteps = 1, MaxSteps = 1 }).ToPrompts();
}
