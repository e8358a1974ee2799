using System.Globalization;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.Logging;

namespace Grpo.Core.Tests.Checkpoints;

/// <summary>Checkpoints that earlier versions wrote resume: those of folder Kept are never written again.</summary>
public sealed class KeptCheckpointTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public Task A_checkpoint_of_the_first_format_resumes_with_a_warning_that_its_options_are_unknown() => ResumeAsync(
        "format-1", hasOptions: false, warning: 38, "does not say which options it was written with, so they were not compared.");

    [Fact]
    public Task A_checkpoint_without_identity_resumes_with_a_warning() => ResumeAsync(
        "without-identity", hasOptions: true, warning: 55,
        "does not say which model, tokenizer, reward and arithmetic it was written with, so they were not compared.");

    private async Task ResumeAsync(string kind, bool hasOptions, int warning, string message)
    {
        string kept = Path.Combine(SharedData.RepositoryRoot, "tests", "Grpo.Core.Tests", "Checkpoints", "Kept");
        const string name = "checkpoint-000004";
        Directory.CreateDirectory(_folder[name]);
        foreach (string file in Directory.GetFiles(Path.Combine(kept, kind, "run", name)))
        {
            File.Copy(file, Path.Combine(_folder[name], Path.GetFileName(file)));
        }

        Assert.Equal(hasOptions, File.Exists(Path.Combine(_folder[name], SavedOptions.FileName)));
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
        (_, int id, string text) = Assert.Single(log.Entries, entry => entry.Level == LogLevel.Warning);
        Assert.Equal(warning, id);
        Assert.Equal($"The checkpoint {_folder[name]} {message}", text);
        Assert.NotNull(SavedOptions.Read(_folder["checkpoint-000008"])!.Identity); // from now on it is compared

        // The weights that the version which wrote the first format ended with after 8 steps; another processor may round otherwise.
        float[] expected = [.. File.ReadAllText(Path.Combine(kept, "format-1", "expected.txt")).Split(' ')
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
