using System.Globalization;
using Grpo.Testing;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Checkpoints;

/// <summary>Checkpoints that earlier versions wrote resume: those of folder Kept are never written again.</summary>
public sealed class KeptCheckpointTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_checkpoint_of_the_first_format_resumes_with_a_warning_that_its_options_are_unknown()
    {
        string kept = Path.Combine(SharedData.RepositoryRoot, "tests", "Grpo.Core.Tests", "Checkpoints", "Kept", "format-1");
        const string name = "checkpoint-000004";
        Directory.CreateDirectory(_folder[name]);
        foreach (string file in Directory.GetFiles(Path.Combine(kept, "run", name)))
        {
            File.Copy(file, Path.Combine(_folder[name], Path.GetFileName(file)));
        }

        Assert.False(File.Exists(Path.Combine(_folder[name], SavedOptions.FileName)));
        var log = new ListLogger<GrpoTrainer>();
        using BigramPolicy policy = Toy.Policy(seed: 99);
        IRewardFunction reward = new Toy.TestReward((_, completion) => new Reward(completion.Text.Count(letter => letter == 'a'))
        {
            IsCorrect = completion.Text.Contains('a', StringComparison.Ordinal),
        });
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, reward, Toy.Options);
        var options = new TrainerOptions
        {
            Steps = 8,
            EvaluateEvery = 2,
            KeepBest = false,
            Resume = true,
            Curriculum = CurriculumMode.PassRate,
            PassRates = new PassRateOptions { PassRateWindow = 1 },
        };
        var services = new TrainerServices { Evaluator = new EvenEvaluator(), Checkpoints = new DirectoryCheckpointStore(_folder.Path) };

        TrainingSummary summary = await new GrpoTrainer(optimizer, Toy.Prompts, options, services, log).TrainAsync();

        Assert.Equal(4, summary.Steps);
        Assert.Equal([0, 2, 4, 6, 8], summary.Evaluations.Select(evaluation => evaluation.Step));
        Assert.Contains(log.Entries, entry => entry is { Level: LogLevel.Warning, Id: 38 });

        // The weights that the version which wrote the checkpoint ended with after 8 steps; another processor may round otherwise.
        float[] expected = [.. File.ReadAllText(Path.Combine(kept, "expected.txt")).Split(' ')
            .Select(bits => BitConverter.UInt32BitsToSingle(uint.Parse(bits, NumberStyles.HexNumber, CultureInfo.InvariantCulture)))];
        float[] weights = policy.Weights();
        Assert.Equal(expected.Length, weights.Length);
        Assert.All(expected.Zip(weights), pair => Assert.Equal(pair.First, pair.Second, tolerance: 1e-4f));
    }

    private sealed class EvenEvaluator : IEvaluator
    {
        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(new EvaluationReport { Count = 512, Accuracy = 0.5 });
    }
}
