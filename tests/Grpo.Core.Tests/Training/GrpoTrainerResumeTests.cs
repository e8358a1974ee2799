using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>A run that is resumed anywhere equals one that was never interrupted, with everything switched on.</summary>
[Trait("Speed", "Slow")]
public sealed class GrpoTrainerResumeTests : IDisposable
{
    private const long Steps = 12;

    private readonly TemporaryFolder _folder = new();
    private readonly List<BigramPolicy> _policies = [];

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 1)]
    [InlineData(1, 3)] // with dynamic sampling
    public async Task TrainAsync_equals_an_uninterrupted_run_wherever_it_is_resumed(int promptsPerStep, int rounds)
    {
        GrpoOptions grpo = Toy.Options with { PromptsPerStep = promptsPerStep, MaxSamplingRounds = rounds };
        var whole = new RecordingCallback([]);
        (BigramPolicy policy, TrainingSummary summary) = await TrainAsync(_folder["whole"], grpo, whole);
        Assert.Contains(whole.Reports, report => report.Curriculum!.Skipped > 0);
        Assert.Contains(whole.Reports, report => report.Curriculum!.PausedSolved > 0);
        Assert.Contains(whole.Reports, report => report.Curriculum!.PausedUnsolved > 0);
        Assert.True(summary.RollBacks > 0 && summary.Best!.Step > 0);

        for (long step = 0; step < Steps; step++)
        {
            string name = FormattableString.Invariant($"checkpoint-{step:D6}"), root = _folder[FormattableString.Invariant($"from{step}")];
            foreach (string kept in Directory.GetDirectories(_folder["whole"])
                .Where(path => string.CompareOrdinal(Path.GetFileName(path), name) <= 0))
            {
                string target = Directory.CreateDirectory(Path.Combine(root, Path.GetFileName(kept))).FullName;
                foreach (string file in Directory.GetFiles(kept))
                {
                    File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
                }
            }

            var rest = new RecordingCallback([]);
            (BigramPolicy resumed, TrainingSummary resumedSummary) = await TrainAsync(root, grpo, rest);
            Assert.Equal(Whole(step).Select(done => Toy.Describe(done.Report)), rest.Reports.Select(done => Toy.Describe(done.Report)));
            Assert.Equal(
                Whole(step).Select(report => (report.Step, report.Curriculum)),
                rest.Reports.Select(report => (report.Step, report.Curriculum)));
            Assert.Equal(policy.Weights(), resumed.Weights());
            Assert.Equal(
                summary.Evaluations.Select(item => (item.Step, item.Evaluation.Accuracy)),
                resumedSummary.Evaluations.Select(item => (item.Step, item.Evaluation.Accuracy)));
            Assert.Equal(
                (summary.Best!.Step, summary.Best.Evaluation.Accuracy, summary.Before!.Accuracy, summary.RollBacks, summary.Collapse),
                (resumedSummary.Best!.Step, resumedSummary.Best.Evaluation.Accuracy, resumedSummary.Before!.Accuracy,
                    resumedSummary.RollBacks, resumedSummary.Collapse));
        }

        IEnumerable<TrainingStep> Whole(long after) => whole.Reports.Where(report => report.Step > after);
    }

    public void Dispose()
    {
        _policies.ForEach(policy => policy.Dispose());
        _folder.Dispose();
    }

    // One prompt is always solved, one never, the others are when there is an a.
    private static Reward Judge(Prompt prompt, Completion completion)
    {
        bool correct = prompt.Id == "p0" || (prompt.Id != "p1" && completion.Text.Contains('a', StringComparison.Ordinal));
        return new Reward(completion.Text.Count(letter => letter == 'a')) { IsCorrect = correct };
    }

    private async Task<(BigramPolicy Policy, TrainingSummary Summary)> TrainAsync(string root, GrpoOptions grpo, ITrainingCallback callback)
    {
        Directory.CreateDirectory(root);
        BigramPolicy policy = Toy.Policy();
        _policies.Add(policy);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.TestReward(Judge), grpo);
        var options = new TrainerOptions
        {
            Steps = Steps,
            EvaluateEvery = 2,
            CheckpointEvery = 1,
            Resume = true,
            Curriculum = CurriculumMode.PassRate,
            PassRates = new PassRateOptions { PassRateWindow = 1 },
            Guard = new CollapseGuard { OnCollapse = CollapseAction.RollBack, MaxRollBacks = 1 },
        };
        var services = new TrainerServices
        {
            Evaluator = new StepEvaluator(optimizer),
            Checkpoints = new DirectoryCheckpointStore(root, keepLast: 99),
            Callbacks = [callback],
        };
        return (policy, await new GrpoTrainer(optimizer, Toy.Prompts, options, services).TrainAsync());
    }

    /// <summary>A function of the step: better at 4, collapsed at 6, best at 10.</summary>
    private sealed class StepEvaluator(GrpoOptimizer optimizer) : IEvaluator
    {
        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            double accuracy = optimizer.Step switch { 4 => 0.6, 6 => 0.1, 10 => 0.7, _ => 0.5 };
            return ValueTask.FromResult(new EvaluationReport { Count = 512, Accuracy = accuracy });
        }
    }
}
