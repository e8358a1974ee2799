using System.ComponentModel;
using System.Text;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Losses;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// The readers of files that a run writes and a later one reads (checkpoints, logs, evaluations), and of methods as text.
/// </summary>
internal static class TrainingTargets
{
    private static readonly Prompt[] Prompts = [Prompt.Create("p0", "b"), Prompt.Create("p1", "dec"), Prompt.Create("p2", "ad")];

    public static IEnumerable<FuzzTarget> All()
    {
        yield return new("checkpoint.json", 5, [Manifest()], Folder.Reading("manifest", ReadManifest)); // errors are reported, not thrown
        yield return new(
            "best.json", 2, [Folder.Written(folder => BestMark.Write(folder, Path.Combine(folder, "temporary"), 8, "checkpoint-000008"))],
            Folder.Reading("best", folder => BestMark.Read(folder)));
        yield return new("trainer_state.json", 5, [State()], Folder.Reading("trainer", ReadState), typeof(InvalidDataException));
        yield return new(
            "run_options.json", 3, [Folder.Written(Options().Write)], Folder.Reading("options", CompareOptions),
            typeof(InvalidDataException));
        var task = new TaskDescription
        {
            SystemPrompt = "s",
            AnswerFormat = "TagAnswer",
            MaxPromptTokens = 9,
            Fields = new Dictionary<string, string> { ["a"] = "b" },
        };
        yield return new(
            "task.json", 2, [Folder.Written(task.Write)], Folder.Reading("task", folder => TaskDescription.Read(folder)),
            typeof(InvalidDataException));
        yield return new(
            "supervised_state.json", 2, [Folder.Written(WriteSupervised)], Folder.Reading("supervised", ReadSupervised),
            typeof(InvalidDataException));
        yield return new("optimizer's files", 6, [Optimizer()], LoadOptimizer, typeof(InvalidDataException));
        yield return new(
            "evaluation file", 5, [Evaluation()], Folder.Reading("evaluation", ReadEvaluation), typeof(InvalidDataException),
            typeof(ArgumentException));
        yield return new("metrics.jsonl", 4, [Lines()], Folder.Reading("metrics", ReadLines));
        yield return new(
            "owner of a lock", 1, [new(FuzzPart.Json(RunLock.OwnerFileName, "process 12 (dotnet) on host, since 2026-01-01 00:00:00 UTC"))],
            ReadOwner);
        yield return new(
            "method as text", 3, Texts("clipped(Low=0.2, High=0.28)", "group-normalized", "sapo"), ReadMethod, typeof(FormatException));
    }

    public static FuzzInput[] Texts(params string[] texts) => [.. texts.Select(text => new FuzzInput(FuzzPart.Text(text)))];

    private static FuzzInput Manifest() => Folder.Written(folder =>
    {
        File.WriteAllText(Path.Combine(folder, "weights"), "w");
        File.WriteAllText(Path.Combine(folder, "moments"), "m");
        CheckpointManifest.WriteAsync(folder, 8).GetAwaiter().GetResult();
    });

    private static void ReadManifest(string folder)
    {
        string? problem = CheckpointManifest.FindProblemAsync(folder, 8, withHashes: true, CancellationToken.None).GetAwaiter().GetResult();
        long? step = CheckpointManifest.FindStepAsync(folder).GetAwaiter().GetResult();
        Assert.True(problem is not null || step == 8, "A manifest of another step was taken.");
        Assert.Equal(TerminalText.Escape(problem), problem ?? "");
    }

    private static FuzzInput State() => Folder.Written(new TrainerState
    {
        Format = 1,
        BestStep = 4,
        Evaluations =
        [
            new()
            {
                Step = 0,
                Count = 8,
                Accuracy = 0.25,
                AccuracyInterval = new(0.1, 0.5),
                MeanReward = 0.25,
                MeanCompletionTokens = 12.5,
                Verdicts = new Dictionary<string, int> { ["Correct"] = 2 },
            },
            new()
            {
                Step = 4,
                Count = 8,
                Accuracy = 0.5,
                MeanReward = null,
                MeanCompletionTokens = 9,
                Verdicts = new Dictionary<string, int>(),
            },
        ],
        FirstEntropy = 2.5,
        Entropies = [2.5, 2.25],
        RollBacks = 1,
        Collapse = new TrainingCollapse(3, "The entropy fell.", CollapseAction.RollBack, 2),
        Position = 12,
        PassRates = new Dictionary<string, PassRate> { ["p0"] = new([1, 0.5], 2, 4, 3), ["p1"] = new([], 0, 0, 1) },
    }.Write);

    private static void ReadState(string folder)
    {
        TrainerState state = TrainerState.Read(folder)!;
        TrainingProgress progress = state.ToProgress(keepEntropies: 10);
        Assert.Equal(state.BestStep, progress.Best?.Step);
        var schedule = new PromptSchedule(Prompts, new GrpoOptions { GroupSize = 2, PromptsPerStep = 2 }, new PassRateOptions());
        if (state.Position is { } position)
        {
            schedule.Restore(position, state.PassRates);
            PromptChoice choice = schedule.Choose(5);
            Assert.Equal(2, choice.Indices.Count);
            schedule.Commit(choice, 6, []);
        }
    }

    private static SavedOptions Options()
    {
        IRewardFunction reward = RewardFunction.Create("one", (_, _) => 1.0, identity: "always");
        var evaluator = new RewardEvaluator(new FixedSampler(), reward, Prompts, new EvaluationOptions());
        return SavedOptions.Create(new GrpoOptions(), new TrainerOptions(), Prompts, Loaded.Value.Identity, evaluator);
    }

    private static void CompareOptions(string folder)
    {
        SavedOptions saved = SavedOptions.Read(folder)!, now = Options();
        foreach (string difference in saved.DifferencesTo(now).Concat(saved.PartDifferencesTo(now))
            .Concat(saved.EvaluatorDifferencesTo(now)))
        {
            Assert.Equal(TerminalText.EscapeLine(difference), difference);
        }
    }

    private static void WriteSupervised(string folder) =>
        new SupervisedState { Step = 3, Seed = 7, BatchSize = 4, Examples = 9 }.Write(Path.Combine(folder, "supervised_state.json"));

    private static void ReadSupervised(string folder)
    {
        string path = Path.Combine(folder, "supervised_state.json");
        SupervisedState.Read(path).RequireSameOrder(path, new SupervisedOptions { Seed = 7, BatchSize = 4 }, 9);
    }

    private static GrpoOptimizer NewOptimizer(BigramPolicy policy) => new(
        policy, new FixedSampler(), RewardFunction.Create("one", (_, _) => 1.0),
        new GrpoOptions { GroupSize = 2, PromptsPerStep = 2, KlTarget = 0.1, KlCoefficient = 0.1 }, policy);

    private static readonly Lazy<GrpoOptimizer> Loaded = new(() =>
    {
        GrpoOptimizer optimizer = NewOptimizer(new BigramPolicy(4, seed: 3));
        optimizer.Save(Folder.Of("optimizer"));
        return optimizer;
    });

    // The policy's own files are not damaged, because the policy reads them.
    private static FuzzInput Optimizer()
    {
        _ = Loaded.Value;
        return new([.. new[] { "grpo_state.json", "optimizer.safetensors" }.Select(name => new FuzzPart(
            name, name.EndsWith(".json", StringComparison.Ordinal) ? PartFormat.Json : PartFormat.Safetensors,
            File.ReadAllBytes(Path.Combine(Folder.Of("optimizer"), name))))]);
    }

    private static void LoadOptimizer(FuzzInput input)
    {
        string folder = Folder.Of("optimizer");
        input.WriteTo(folder);
        Loaded.Value.Load(folder);
        Assert.True(Loaded.Value.Step >= 0);
    }

    private static EvaluationReport Report() => new()
    {
        Count = 2,
        Accuracy = 0.5,
        AccuracyInterval = new(0.1, 0.9),
        MeanReward = double.NaN,
        Verdicts = new Dictionary<string, int> { ["Correct"] = 1 },
        Difficulties = [new DifficultyAccuracy { Difficulty = "2", Count = 2, Accuracy = 0.5, Interval = new(0.1, 0.9) }],
        Sampled = new SampledEvaluation { SamplesPerPrompt = 1, Accuracies = [] },
        Items =
        [
            .. new[] { true, false }.Select((correct, i) => new EvaluationItem
            {
                Id = $"p{i}",
                Question = "1 + 1?",
                Expected = "2",
                Difficulty = "2",
                Completion = new EvaluatedCompletion
                {
                    Text = "<answer>2</answer>",
                    Tokens = 3,
                    Reward = 1,
                    Verdict = "Correct",
                    IsCorrect = correct,
                },
                Samples = [new EvaluatedCompletion { Text = "2", Tokens = 1, FinishReason = FinishReason.Truncated }],
            }),
        ],
    };

    private static FuzzInput Evaluation() => Folder.Written(folder =>
        EvaluationFile.Write(Path.Combine(folder, "evaluation.json"), Report(), new Dictionary<string, string> { ["model"] = "tiny" }));

    private static void ReadEvaluation(string folder)
    {
        EvaluationReport read = EvaluationFile.Read(Path.Combine(folder, "evaluation.json"));
        PairedComparison.Create(read, Report());
    }

    private static FuzzInput Lines() => Folder.Written(folder => File.WriteAllText(
        Path.Combine(folder, "metrics.jsonl"),
        "{\"step\":1,\"reward\":0.5,\"prompt\":\"a \\u003C b\"}\n{\"step\":2,\"reward\":null}\n"
        + "{\"step\":3,\"reward\":1e-3,\"list\":[1,2]}\n{\"step\":4,\"rew"));

    private static void ReadLines(string folder)
    {
        string path = Path.Combine(folder, "metrics.jsonl");
        byte[] before = File.ReadAllBytes(path);
        using (var file = new JsonLinesFile(path))
        {
            file.DropAfter(2);
        }

        byte[] after = File.ReadAllBytes(path);
        Assert.True(after.Length == 0 || after[^1] == '\n', "Half a line was kept.");
        Assert.True(after.Length <= before.Length || !System.Text.Unicode.Utf8.IsValid(before), "Something was added.");
        Assert.DoesNotContain(
            "{\"step\":3,\"reward\":1e-3,\"list\":[1,2]}\n", Encoding.UTF8.GetString(after).Split('\n').Select(line => line + "\n"));
    }

    private static void ReadOwner(FuzzInput input)
    {
        string root = Folder.Of("lock");
        using var held = RunLock.Acquire(root, () => { });
        input.WriteTo(root);
        string message = Assert.Throws<IOException>(() => RunLock.Acquire(root, () => { })).Message;
        Assert.Equal(TerminalText.EscapeLine(message), message);
    }

    private static void ReadMethod(FuzzInput input)
    {
        string text = input.Text;
        object? read = null;
        Exception? refusal = null;
        foreach (Type family in new[] { typeof(PolicyObjective), typeof(AdvantageFunction) })
        {
            try
            {
                read = TypeDescriptor.GetConverter(family).ConvertFromInvariantString(text);
            }
            catch (FormatException exception)
            {
                refusal = exception;
            }
        }

        if (read is null)
        {
            throw refusal!;
        }
    }
}
