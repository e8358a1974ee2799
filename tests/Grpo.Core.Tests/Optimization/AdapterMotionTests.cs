using Grpo.Core.Tests.Training;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.Logging;
using TorchSharp;

namespace Grpo.Core.Tests.Optimization;

public sealed class AdapterMotionTests
{
    [Theory]
    [InlineData(49, 1e-6, 1, false)] // too early
    [InlineData(50, 1e-6, 1, true)]
    [InlineData(99, 5e-7, 1, false)] // at half the rate, as in a warm-up, a step counts half
    [InlineData(100, 5e-7, 1, true)]
    [InlineData(1000, 1e-6, 0, false)] // without a gradient no rate would move anything
    [InlineData(1000, 1e-6, 9e-8, false)] // 100 weights with ε = 1e-8 each have the norm 1e-7
    [InlineData(50, 1e-6, 1.1e-7, true)]
    [InlineData(1000, 0, 1, false)]
    public void Observe_counts_steps_by_their_rate(int steps, double rate, double gradientNorm, bool warns)
    {
        using var policy = new AdapterPolicy(hasMoved: false);
        var motion = new AdapterMotion(policy, new GrpoOptions { LearningRate = 1e-6 }.ChooseLearningRate(true), adamEpsilon: 1e-8);
        string?[] told = [.. Enumerable.Range(0, steps).Select(_ => motion.Observe(rate, gradientNorm))];

        Assert.Equal(warns, told[^1] is not null);
        Assert.All(told[..^1], Assert.Null);
        Assert.True(!warns || motion.Observe(rate, gradientNorm) is null); // once
    }

    [Fact]
    public void Observe_asks_once_and_is_silent_when_the_adapter_has_moved()
    {
        using var policy = new AdapterPolicy(hasMoved: true);
        var motion = new AdapterMotion(policy, new GrpoOptions { LearningRate = 1e-6 }.ChooseLearningRate(true), adamEpsilon: 1e-8);
        Assert.All(Enumerable.Range(0, 200), _ => Assert.Null(motion.Observe(1e-6, 1)));
        Assert.Equal([1.0 / 512], policy.Asked);
    }

    [Fact]
    public void Observe_is_silent_about_full_training()
    {
        using BigramPolicy policy = Toy.Policy();
        var motion = new AdapterMotion(policy, new GrpoOptions { LearningRate = 1e-12 }.ChooseLearningRate(false), adamEpsilon: 1e-8);
        Assert.All(Enumerable.Range(0, 200), _ => Assert.Null(motion.Observe(1e-12, 1)));
    }

    [Theory]
    [InlineData(1e-7, "LearningRate is 1E-07; adapters want about ten times the rate of full training. Try 1E-05.")]
    [InlineData(2e-5, "LearningRate is 2E-05; adapters want about ten times the rate of full training. Try 0.0002.")]
    public void Warning_names_the_rate_and_a_better_one(double rate, string end)
    {
        using var policy = new AdapterPolicy(hasMoved: false);
        var motion = new AdapterMotion(policy, new GrpoOptions { LearningRate = rate }.ChooseLearningRate(true), adamEpsilon: 1e-8);
        string told = Assert.Single(Enumerable.Range(0, 60).Select(_ => motion.Observe(rate, 1)).OfType<string>());
        Assert.Equal(
            "The adapter does not move: after 50 optimizer steps at the peak rate it changes no layer's output by more than 2^-9, the "
            + $"rounding of bfloat16. {end}",
            told);
    }

    // Without advantages no optimizer step is applied, so the rate cannot be blamed.
    [Fact]
    public void Update_without_advantages_never_warns()
    {
        using var policy = new AdapterPolicy(hasMoved: false);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab.", "c.");
        for (int i = 0; i < 60; i++)
        {
            Assert.Empty(optimizer.Update([Toy.Scored(group, 0, 0)]));
        }

        Assert.Empty(policy.Asked);
    }

    [Fact]
    public async Task Supervised_run_warns_once_and_has_a_rate_for_adapters()
    {
        using var policy = new AdapterPolicy(hasMoved: false);
        var log = new ListLogger<SupervisedTrainer>();
        SupervisedExample[] examples = [new(Toy.Prompts[0], "ab"), new(Toy.Prompts[1], "c")];
        var trainer = new SupervisedTrainer(
            policy,
            new SupervisedData(examples, new SupervisedTrainerTests.EndTokenizer(), new SupervisedTrainerTests.EndTemplate()),
            new SupervisedOptions { Steps = 120, BatchSize = 2, Schedule = LearningRateSchedule.Constant }, logger: log);
        var reports = new List<SupervisedReport>();
        await foreach (SupervisedReport report in trainer.RunAsync())
        {
            reports.Add(report);
        }

        Assert.All(reports, report => Assert.Equal(1e-4, report.LearningRate));
        SupervisedReport warned = Assert.Single(reports, report => report.AdapterWarning is not null);
        Assert.Equal(50, warned.Step);
        Assert.Single(log.Entries, entry => entry.Level == LogLevel.Warning && entry.Text.StartsWith(
            "Step 50: The adapter does not move: ", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(null, false, 1e-6, "1E-06, the default of full training")]
    [InlineData(null, true, 1e-5, "1E-05, the default of adapters: ten times that of full training")]
    [InlineData(3e-6, false, 3e-6, "3E-06, as set")]
    [InlineData(3e-6, true, 3e-6, "3E-06, as set; adapters want about ten times the rate of full training")]
    [InlineData(0.0, true, 0, "0, as set; adapters want about ten times the rate of full training")]
    public void ChooseLearningRate_says_why(double? set, bool adapter, double rate, string words)
    {
        LearningRateChoice choice = new GrpoOptions { LearningRate = set }.ChooseLearningRate(adapter);
        Assert.Equal((rate, set is not null, adapter), (choice.Rate, choice.IsSet, choice.TrainsAdapter));
        Assert.Equal(words, choice.ToString());
    }

    [Fact]
    public void ChooseLearningRate_of_supervised_options_has_its_own_defaults() =>
        Assert.Equal(
            (1e-5, 1e-4, 3e-6),
            (new SupervisedOptions().ChooseLearningRate(false).Rate, new SupervisedOptions().ChooseLearningRate(true).Rate,
                new SupervisedOptions { LearningRate = 3e-6 }.ChooseLearningRate(true).Rate));

    /// <summary>The bigram policy as if its table were an adapter.</summary>
    private sealed class AdapterPolicy(bool hasMoved) : IAdapterPolicy, IDisposable
    {
        private readonly BigramPolicy _inner = Toy.Policy();

        public List<double> Asked { get; } = [];

        public bool TrainsAdapter => true;

        public torch.nn.Module Module => _inner.Module;

        public bool HasMoved(double fraction)
        {
            Asked.Add(fraction);
            return hasMoved;
        }

        public torch.Tensor LogProbs(TokenBatch batch, double temperature) => _inner.LogProbs(batch, temperature);

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            _inner.StartDecoding(prompts, groupSize, maxNewTokens);

        public void Save(string directory) => _inner.Save(directory);

        public void Load(string directory) => _inner.Load(directory);

        public void Dispose() => _inner.Dispose();
    }
}
