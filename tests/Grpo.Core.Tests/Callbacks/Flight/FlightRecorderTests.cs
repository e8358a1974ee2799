using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Losses;
using Grpo.Optimization;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>What a run leaves in its record, and that it is the same run with and without.</summary>
public sealed class FlightRecorderTests
{
    public static TheoryData<string> Cases => [.. RecordedRun.Cases.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Recording_changes_no_bit_of_weights_moments_and_reports(string name)
    {
        using RecordedRun recorded = new(RecordedRun.Cases[name]), plain = new(RecordedRun.Cases[name]);
        List<string> recordedReports = [], plainReports = [];
        BigramPolicy one = await recorded.TrainAsync(after: step => recordedReports.Add(Toy.Describe(step.Report)));
        BigramPolicy other = await plain.TrainAsync(record: false, after: step => plainReports.Add(Toy.Describe(step.Report)));

        Assert.Equal(plainReports, recordedReports);
        Assert.Equal(other.Weights(), one.Weights());
        Assert.Equal(Moments(plain), Moments(recorded));
        Assert.True(File.Exists(recorded.File));
        Assert.False(Directory.Exists(plain.Output));

        static byte[] Moments(RecordedRun run) =>
            File.ReadAllBytes(Path.Combine(run.Checkpoints, "checkpoint-000004", "optimizer.safetensors"));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_record_holds_what_the_reports_said(string name)
    {
        using RecordedRun run = new(RecordedRun.Cases[name]);
        var reports = new List<TrainingStep>();
        await run.TrainAsync(after: reports.Add);

        using FlightRecord record = FlightRecord.Open(run.Output);
        Assert.Equal([1, 2, 3, 4], record.Steps);
        Assert.Equal(
            OptionText.From(run.Options, "GrpoOptions."),
            record.SettingsOf(1).Options.OrderBy(option => option.Key, StringComparer.Ordinal),
            OptionsEqual);
        Assert.Equal("toy", record.SettingsOf(4).About["model"]);
        foreach (TrainingStep report in reports)
        {
            FlightStep step = record.Read(report.Step);
            Assert.Equal(run.Options.Seed, step.Seed);
            Assert.Equal(new Dictionary<string, double> { ["letters"] = 2, ["length"] = -0.1 }, step.RewardWeights);
            Assert.Equal(report.Report.SamplingRounds, step.Rounds.Count);
            Assert.Equal(report.Report.Groups.Select(group => group.Group.Prompt.Id), step.Groups.Select(group => group.PromptId));
            Assert.Equal(report.Report.ReplacedGroups, step.Groups.Count(group => group.Completions[0].Part == FlightPart.Replaced));
            Assert.Equal(
                report.Report.Updates.Select(update => (update.Loss, update.Kl, update.GradientNorm)),
                step.Updates.Select(update => (update.Loss, update.Kl, update.GradientNorm)));
            foreach ((ScoredGroup expected, FlightGroup group) in report.Report.Groups.Zip(step.Groups))
            {
                Assert.Equal(expected.Group.PromptTokenIds, group.PromptTokenIds);
                Assert.Equal(expected.Advantages, group.Completions.Select(completion => completion.Advantage));
                Assert.Equal(
                    expected.Group.Completions.Select(completion => completion.TokenIds),
                    group.Completions.Select(completion => completion.TokenIds));
                Assert.Equal(
                    expected.Group.Completions.Select(completion => completion.LogProbs!),
                    group.Completions.Select(completion => completion.SamplerLogProbs!));
                Assert.Equal(expected.Rewards.Select(reward => (reward.Value, reward.Verdict, reward.IsCorrect)), group.Completions.Select(
                    completion => (completion.Reward.Value, completion.Reward.Verdict, completion.Reward.IsCorrect)));
                Assert.All(group.Completions, completion => CheckParts(run.Options, completion));
            }
        }

        Assert.Contains(
            reports.SelectMany(report => record.Read(report.Step).Groups).SelectMany(group => group.Completions),
            completion => completion.Part == FlightPart.Trained);
        Assert.Contains(
            reports.SelectMany(report => report.Report.Groups).SelectMany(group => group.Rewards), reward => reward.Value is null);
    }

    [Fact]
    public async Task The_first_updates_log_probs_are_those_of_the_policy_that_sampled()
    {
        using RecordedRun run = new(Toy.Options with { UpdatesPerRollout = 3 });
        await run.TrainAsync();

        using FlightRecord record = FlightRecord.Open(run.Output);
        foreach (FlightCompletion completion in record.Steps.SelectMany(step => record.Read(step).Groups)
            .SelectMany(group => group.Completions).Where(completion => completion.LogProbs is not null))
        {
            // The same weights through the other code: sampler and trainer differ by rounding.
            Assert.All(
                completion.LogProbs!.Zip(completion.SamplerLogProbs!), pair => Assert.Equal(pair.Second, pair.First, tolerance: 1e-5));
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    [InlineData(2, 4)]
    [InlineData(4, 2)]
    public async Task A_run_that_dies_and_resumes_has_every_step_once_as_if_it_had_not(long checkpointEvery, long diesAfter)
    {
        using RecordedRun whole = new(Toy.Options), broken = new(Toy.Options);
        await whole.TrainAsync(checkpointEvery: checkpointEvery);
        await Assert.ThrowsAsync<IOException>(() => broken.TrainAsync(checkpointEvery: checkpointEvery, after: report =>
        {
            if (report.Step == diesAfter)
            {
                throw new IOException("killed");
            }
        }));
        await File.AppendAllBytesAsync(broken.File, (byte[])[1, 2, 3, 4, 5]); // and in the middle of a record
        await broken.TrainAsync(checkpointEvery: checkpointEvery);

        Assert.Equal(await File.ReadAllBytesAsync(whole.File), await File.ReadAllBytesAsync(broken.File));
    }

    [Fact]
    public async Task A_new_run_is_refused_in_the_folder_of_another()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        byte[] before = await File.ReadAllBytesAsync(run.File);

        InvalidOperationException problem = await Assert.ThrowsAsync<InvalidOperationException>(() => run.TrainAsync(resume: false));
        Assert.Contains("holds 4 steps of another run", problem.Message, StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(run.File));
    }

    [Fact]
    public async Task A_resumed_run_writes_its_options_again_only_when_they_are_others()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy();
        GrpoOptions first = Toy.Options, second = Toy.Options with { LearningRate = 0.01 };
        using GrpoOptimizer optimizer = new(policy, Toy.Sampler, new Toy.LetterReward(), first);
        long position = 0;
        (GrpoOptions, bool)[] starts = [(first, true), (first, false), (second, true), (second, false), (first, true)];
        foreach ((GrpoOptions options, bool isNew) in starts)
        {
            using var recorder = new FlightRecorder(folder.Path);
            await recorder.OnStartAsync(new TrainingStart(optimizer.Step, 9, options) { Resumes = true });
            Assert.Equal(isNew, new FileInfo(recorder.FilePath).Length > Math.Max(8, position));
            await recorder.OnStepAsync(await Toy.RecordedStepAsync(optimizer, recorder));
            position = new FileInfo(recorder.FilePath).Length;
        }

        using FlightRecord record = FlightRecord.Open(folder.Path);
        Assert.Equal(
            ["0.05", "0.05", "0.01", "0.01", "0.05"],
            record.Steps.Select(step => record.SettingsOf(step).Options["GrpoOptions.LearningRate"]));
    }

    [Fact]
    public async Task OnStepAsync_refuses_a_step_that_it_has_not_observed()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = new(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var recorder = new FlightRecorder(folder.Path);
        await recorder.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        var unobserved = new TrainingStep(await optimizer.StepAsync(Toy.Prompts));
        await RefusesAsync(unobserved);

        TrainingStep observed = await Toy.RecordedStepAsync(optimizer, recorder);
        await RefusesAsync(observed with { Report = observed.Report with { Step = 3 } });
        await recorder.OnStepAsync(observed);
        await RefusesAsync(observed); // once

        async Task RefusesAsync(TrainingStep step)
        {
            InvalidOperationException problem = await Assert.ThrowsAsync<InvalidOperationException>(
                () => recorder.OnStepAsync(step).AsTask());
            Assert.Contains("was not observed: only a GrpoTrainer lets its callbacks see", problem.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task OnStepAsync_refuses_a_step_of_no_run()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = new(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var recorder = new FlightRecorder(folder.Path);
        TrainingStep report = await Toy.RecordedStepAsync(optimizer, recorder);

        InvalidOperationException problem = await Assert.ThrowsAsync<InvalidOperationException>(
            () => recorder.OnStepAsync(report).AsTask());
        Assert.Contains("call OnStartAsync first", problem.Message, StringComparison.Ordinal);
    }

    // Its constructor cut away what it took for the end of a dead process, while another run was writing it.
    [Fact]
    public async Task A_run_that_cannot_have_the_checkpoints_leaves_the_record_alone()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        await File.AppendAllBytesAsync(run.File, (byte[])[1, 2, 3]); // half a record, as another run would be writing it
        byte[] before = await File.ReadAllBytesAsync(run.File);
        using (new DirectoryCheckpointStore(run.Checkpoints).BeginRun())
        {
            Assert.Contains(
                "belong to a run that is under way", (await Assert.ThrowsAsync<IOException>(() => run.TrainAsync())).Message,
                StringComparison.Ordinal);
        }

        Assert.Equal(before, await File.ReadAllBytesAsync(run.File));
        await run.TrainAsync();
        Assert.Equal(before[..^3], await File.ReadAllBytesAsync(run.File));
    }

    [Fact]
    public async Task OnStartAsync_refuses_a_file_that_another_recorder_writes()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy(), otherPolicy = Toy.Policy();
        using GrpoOptimizer optimizer = new(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options),
            other = new(otherPolicy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using FlightRecorder first = new(folder["run"]), second = new(folder["run"]);
        Assert.False(Directory.Exists(folder["run"]));
        var start = new TrainingStart(0, 9, Toy.Options);
        await first.OnStartAsync(start);
        await first.OnStepAsync(await Toy.RecordedStepAsync(optimizer, first));

        IOException problem = await Assert.ThrowsAsync<IOException>(() => second.OnStartAsync(start).AsTask());
        Assert.Contains($"'{first.FilePath}' cannot be written: Another recorder is writing it", problem.Message, StringComparison.Ordinal);
        using (FlightRecord record = FlightRecord.Open(folder["run"]))
        {
            Assert.Equal([1], record.Steps);
        }

        await first.OnEndAsync(new TrainingSummary { Steps = 1, CompletionTokens = 1, Elapsed = TimeSpan.Zero });
        await second.OnStartAsync(start with { Resumes = true });
    }

    [Fact]
    public async Task Two_recorders_of_one_run_write_the_same_steps()
    {
        using TemporaryFolder one = new(), other = new();
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = new(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using FlightRecorder first = new(one.Path), second = new(other.Path);
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 2 }, new TrainerServices { Callbacks = [first, second] })
            .TrainAsync();

        Assert.Equal(await File.ReadAllBytesAsync(first.FilePath), await File.ReadAllBytesAsync(second.FilePath));
    }

    private static bool OptionsEqual(KeyValuePair<string, string?> one, KeyValuePair<string, string?> other) =>
        one.Key == other.Key && one.Value == other.Value;

    private static void CheckParts(GrpoOptions options, FlightCompletion completion)
    {
        bool trained = completion.Part == FlightPart.Trained;
        Assert.Equal(trained, completion.MicroBatch is not null);
        Assert.Equal(trained ? completion.TokenIds.Count : null, completion.LogProbs?.Count);
        Assert.Equal(
            trained && options.KlCoefficient > 0 && options.KlEstimator != KlEstimator.K1InReward ? completion.TokenIds.Count : null,
            completion.ReferenceLogProbs?.Count);
        Assert.Equal(
            completion.Part == FlightPart.LeftOut, options.MaskTruncatedCompletions && completion.FinishReason == FinishReason.Truncated);
        Assert.True(completion.Part is not (FlightPart.Counted or FlightPart.Replaced) || completion.Advantage == 0);
    }
}
