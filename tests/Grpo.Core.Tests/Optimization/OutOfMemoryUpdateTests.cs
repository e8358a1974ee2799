using CsCheck;
using Grpo.Callbacks;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Tensors;
using Grpo.Testing;
using Microsoft.Extensions.Logging;
using TorchSharp;

namespace Grpo.Core.Tests.Optimization;

/// <summary>A lack of memory in the update: smaller micro-batches, and the same step.</summary>
[Collection(nameof(LiveTensorTests))]
public sealed class OutOfMemoryUpdateTests
{
    private static GrpoOptions Options => GrpoOptimizerTests.Gradients(Toy.Options) with { MicroBatchSize = 100 };

    // One prompt of one letter, one of three; completions of 1 to 6 tokens.
    private static IReadOnlyList<ScoredGroup> Groups =>
    [
        Toy.Scored(Toy.Group(Toy.Prompts[0], "aab.", "c.", "dabcda", "."), 1, -1, .5, -.5),
        Toy.Scored(Toy.Group(Toy.Prompts[1], "ha.", "bb.", "gggggg", "e."), .3, -.7, 1.2, -.8),
    ];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Update_takes_smaller_micro_batches_when_one_does_not_fit(bool inForward)
    {
        using BigramPolicy whole = Toy.Policy(), tight = Toy.Policy(), small = Toy.Policy();
        var policy = new TightPolicy(tight) { ForwardRoom = inForward ? 40 : long.MaxValue, BackwardRoom = inForward ? long.MaxValue : 40 };
        var logger = new ListLogger<GrpoOptimizer>();
        using GrpoOptimizer unsplit = Optimizer(whole, Options), split = Optimizer(policy, Options, logger);
        UpdateReport expected = unsplit.Update(Groups)[0], actual = split.Update(Groups)[0];

        // 8 rows of 3 + 6 tokens, then 4, within the room.
        Assert.Equal([72L], policy.Failures);
        Near.EqualRelative(Toy.SavedMoment(unsplit), Toy.SavedMoment(split), 1e-5, "gradient");
        Near.Equal(expected.Loss, actual.Loss, 1e-6, "loss");
        (LogLevel level, int id, string text) = Assert.Single(logger.Entries, entry => entry.Level >= LogLevel.Warning);
        Assert.Equal((LogLevel.Warning, 11), (level, id));
        Assert.Contains(
            "8 completions, 72 tokens with padding, did not fit into memory. From now on one holds at most 36 tokens", text,
            StringComparison.Ordinal);
        Assert.Contains("DefaultCPUAllocator: can't allocate memory", text, StringComparison.Ordinal);

        // What was reported, as an option: the same micro-batches, so the same bits.
        using GrpoOptimizer configured = Optimizer(small, Options with { MaxTokensPerMicroBatch = 36 });
        Assert.Equal(configured.Update(Groups)[0].Loss, actual.Loss);
        Assert.Equal(Toy.SavedMoment(configured), Toy.SavedMoment(split));
    }

    [Fact]
    public async Task StepAsync_remembers_what_fitted_and_reports_it()
    {
        using BigramPolicy inner = Toy.Policy();
        var policy = new TightPolicy(inner) { BackwardRoom = 30 };
        using GrpoOptimizer optimizer = Optimizer(policy, Toy.Options with { MicroBatchSize = 12 });
        var reports = new List<StepReport>();
        for (int step = 0; step < 4; step++)
        {
            reports.Add(await optimizer.StepAsync(Toy.Prompts));
        }

        Assert.True(reports[0].MicroBatchSplits > 0);
        Assert.Equal(policy.Failures.Count, reports.Sum(report => report.MicroBatchSplits));
        Assert.InRange(reports[^1].MicroBatchTokens!.Value, 9, 30);
        Assert.Equal(0, reports[^1].MicroBatchSplits); // nothing is tried twice
        Assert.Contains(new("memory/micro_batch_splits", reports[0].MicroBatchSplits), StepMetrics.From(reports[0]));
        Assert.Contains(new("memory/micro_batch_tokens", reports[0].MicroBatchTokens!.Value), StepMetrics.From(reports[0]));
    }

    [Fact]
    public async Task StepAsync_reports_no_limit_while_everything_fits()
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy, Toy.Options with { MaxTokensPerMicroBatch = 50 });
        StepReport report = await optimizer.StepAsync(Toy.Prompts);

        Assert.Equal((0, null), (report.MicroBatchSplits, report.MicroBatchTokens));
        Assert.DoesNotContain(StepMetrics.From(report), metric => metric.Key == "memory/micro_batch_tokens");
    }

    [Fact]
    public void Update_equals_the_unsplit_one_whatever_fits() => Gen.Select(
        Gen.Int[9, 80], Gen.Int[9, 80], Gen.Int[0, 9], Gen.Int[1, 3], Gen.Bool, Gen.Enum<LossReduction>()).Sample(
        (forward, backward, grace, updates, shared, reduction) =>
        {
            GrpoOptions options = Toy.Options with
            {
                MicroBatchSize = 100,
                UpdatesPerRollout = updates,
                Reduction = reduction,
                KlCoefficient = 0.04,
                LearningRate = 0.02,
                MaxGradientNorm = null,
            };
            using BigramPolicy whole = Toy.Policy(), tight = Toy.Policy(), reference = Toy.Policy(seed: 12);
            var policy = new TightPolicy(tight) { ForwardRoom = forward, BackwardRoom = backward, Grace = grace, SharesPrompts = shared };
            using GrpoOptimizer unsplit = Optimizer(whole, options, reference: reference),
                split = Optimizer(policy, options, reference: reference);
            IReadOnlyList<UpdateReport> expected = unsplit.Update(Groups), actual = split.Update(Groups);

            Assert.Equal(updates, actual.Count);
            for (int i = 0; i < updates; i++)
            {
                Near.Equal(expected[i].Loss, actual[i].Loss, 1e-5, $"loss {i}");
                Near.Equal(expected[i].Kl!.Value, actual[i].Kl!.Value, 1e-5, $"KL {i}");
                Near.Equal(expected[i].Clip!.Value.LowMean, actual[i].Clip!.Value.LowMean, 1e-6, $"clipped low {i}");
                Near.Equal(expected[i].GradientNorm, actual[i].GradientNorm, 1e-5, $"norm {i}");
            }

            Near.EqualRelative(Toy.SavedMoment(unsplit), Toy.SavedMoment(split), 1e-5, "gradient");
            Near.Equal(whole.Weights(), tight.Weights(), 1e-5, "weights");
        },
        iter: 150);

    [Fact]
    public void Update_keeps_the_old_log_probs_when_memory_runs_out_after_the_first_optimizer_step()
    {
        GrpoOptions options = Toy.Options with { MicroBatchSize = 100, UpdatesPerRollout = 3, LearningRate = 0.2, MaxGradientNorm = null };
        using BigramPolicy whole = Toy.Policy(), inner = Toy.Policy();
        var policy = new TightPolicy(inner) { BackwardRoom = 40, Grace = 1 }; // the first of three passes succeeds
        using GrpoOptimizer unsplit = Optimizer(whole, options), split = Optimizer(policy, options);
        IReadOnlyList<UpdateReport> expected = unsplit.Update(Groups), actual = split.Update(Groups);

        Assert.Equal([72L], policy.Failures);
        Assert.True(expected[2].Clip!.Value.RegionMean > 0.2); // ratios are far from 1: with other old log-probs this would differ
        Near.Equal(expected[2].Clip!.Value.RegionMean, actual[2].Clip!.Value.RegionMean, 1e-6, "clipped");
        Near.Equal(whole.Weights(), inner.Weights(), 1e-5, "weights");
    }

    [Fact]
    public void Update_heeds_no_cancellation_when_it_begins_anew_after_the_first_optimizer_step()
    {
        using var stop = new CancellationTokenSource();
        using BigramPolicy inner = Toy.Policy();
        inner.OnLogProbs = () =>
        {
            if (inner.LogProbsCalls == 2)
            {
                stop.Cancel();
            }
        };
        var policy = new TightPolicy(inner) { BackwardRoom = 40, Grace = 1 };
        using GrpoOptimizer optimizer = Optimizer(policy, Options with { UpdatesPerRollout = 2 });

        Assert.Equal(2, optimizer.Update(Groups, stop.Token).Count);
        Assert.Single(policy.Failures);
    }

    [Fact]
    public void Update_says_what_to_do_and_changes_nothing_when_one_completion_does_not_fit()
    {
        using BigramPolicy inner = Toy.Policy(), untouched = Toy.Policy();
        var policy = new TightPolicy(inner) { BackwardRoom = 8 };
        using GrpoOptimizer optimizer = Optimizer(policy, Toy.Options with { MicroBatchSize = 100 }),
            fresh = Optimizer(untouched, Toy.Options with { MicroBatchSize = 1 });
        var error = Assert.Throws<InvalidOperationException>(() => optimizer.Update(Groups));

        foreach (string part in new[] { "prompt 'p1', sample 2, 3 prompt and 6 completion tokens", "MaxCompletionTokens (6)",
            "gradient checkpointing", "adapter" })
        {
            Assert.Contains(part, error.Message, StringComparison.Ordinal);
        }

        Assert.True(OutOfMemory.Is(error.InnerException!));
        Assert.Equal(untouched.Weights(), inner.Weights());
        Assert.Equal(0, optimizer.Step);

        // Nor has it left a gradient or a moment: with more room the step is that of an optimizer that never failed.
        policy.BackwardRoom = long.MaxValue;
        fresh.Update(Groups);
        optimizer.Update(Groups);
        Near.Equal(untouched.Weights(), inner.Weights(), 1e-6, "weights");
    }

    [Fact]
    public void Update_leaves_other_native_errors_alone()
    {
        using BigramPolicy policy = Toy.Policy();
        policy.OnLogProbs = () => throw NativeFailure.Of("The size of tensor a (3) must match the size of tensor b (4)");
        using GrpoOptimizer optimizer = Optimizer(policy, Options);

        Assert.Throws<System.Runtime.InteropServices.ExternalException>(() => optimizer.Update(Groups));
        Assert.Equal(1, policy.LogProbsCalls);
    }

    [Fact]
    public void Update_splits_for_the_reference_model_too()
    {
        using BigramPolicy whole = Toy.Policy(), half = Toy.Policy(), inner = Toy.Policy(seed: 12);
        var reference = new TightPolicy(inner) { ForwardRoom = 40 };
        using GrpoOptimizer unsplit = Optimizer(whole, Options with { KlCoefficient = 0.1 }, reference: inner);
        using GrpoOptimizer split = Optimizer(half, Options with { KlCoefficient = 0.1 }, reference: reference);
        unsplit.Update(Groups);
        split.Update(Groups);

        Assert.Equal([72L], reference.Failures);
        Near.EqualRelative(Toy.SavedMoment(unsplit), Toy.SavedMoment(split), 1e-5, "gradient");
    }

    [Fact]
    public void Update_splits_the_pass_for_the_entropies_too()
    {
        using BigramPolicy whole = Toy.Policy(), inner = Toy.Policy();
        var policy = new TightPolicy(inner) { EntropyRoom = 40 };
        using GrpoOptimizer unsplit = Optimizer(whole, Options with { TopEntropyFraction = 0.5 }),
            split = Optimizer(policy, Options with { TopEntropyFraction = 0.5 });
        unsplit.Update(Groups);
        split.Update(Groups);

        Assert.Equal([72L], policy.Failures);
        Near.EqualRelative(Toy.SavedMoment(unsplit), Toy.SavedMoment(split), 1e-5, "gradient");
    }

    [Fact]
    public async Task ScoreAsync_splits_for_the_kl_term_in_the_reward()
    {
        GrpoOptions options =
            Options with { KlCoefficient = 0.1, KlEstimator = KlEstimator.K1InReward, Advantage = new MeanCenteredAdvantage() };
        using BigramPolicy policy = Toy.Policy(), inner = Toy.Policy(seed: 12);
        var reference = new TightPolicy(inner) { ForwardRoom = 40 };
        using GrpoOptimizer unsplit = Optimizer(policy, options, reference: inner),
            split = Optimizer(policy, options, reference: reference);
        RolloutGroup[] groups = [.. Groups.Select(group => group.Group)];
        double[] expected = [.. (await unsplit.ScoreAsync(groups)).Groups.SelectMany(group => group.Advantages)];
        double[] actual = [.. (await split.ScoreAsync(groups)).Groups.SelectMany(group => group.Advantages)];

        Assert.Equal([72L], reference.Failures);
        Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
    }

    [Fact]
    public void Update_keeps_no_tensor_of_what_failed()
    {
        using BigramPolicy inner = Toy.Policy();
        var policy = new TightPolicy(inner) { ForwardRoom = 60, BackwardRoom = 20 };
        using GrpoOptimizer optimizer = Optimizer(policy, Options with { UpdatesPerRollout = 2 });
        optimizer.Update(Groups); // and the script of the optimizer is compiled
        long before = torch.Tensor.TotalCount;
        policy.ForwardRoom = policy.BackwardRoom = 9;
        optimizer.Update(Groups);

        Assert.True(policy.Failures.Count >= 3, $"{policy.Failures.Count} failures");
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    private static GrpoOptimizer Optimizer(
        IPolicy policy, GrpoOptions options, ILogger<GrpoOptimizer>? logger = null, IReferenceModel? reference = null) =>
        new(new GrpoPlugIns(policy, Toy.Sampler, new Toy.LetterReward()) { Reference = reference }, options, logger);
}
