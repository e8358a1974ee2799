using Grpo.Optimization;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

public sealed class GradientSpikesTests
{
    [Fact]
    public void Observe_judges_by_the_median_of_the_recent_norms()
    {
        var spikes = new GradientSpikes(20);
        for (int i = 0; i < 16; i++)
        {
            Assert.Null(spikes.Observe(i == 3 ? 1000 : 2)); // too few to judge by; the outlier does not move the median
        }

        Assert.Null(spikes.Observe(40));
        Assert.Equal(
            "The gradient norm is 41, 20 times the median of the last updates, 2; GradientSpikeFactor allows 20.",
            spikes.Observe(41));
        Assert.Equal(18, spikes.State.Count);
    }

    [Fact]
    public void Observe_gets_used_to_gradients_that_stay_long()
    {
        var spikes = new GradientSpikes(20);
        for (int i = 0; i < 32; i++)
        {
            spikes.Observe(1);
        }

        int skipped = Enumerable.Range(0, 40).Count(_ => spikes.Observe(100) is not null);
        Assert.Equal(16, skipped); // sixteen of 32: the median is then (1 + 100) / 2, and 100 is no longer 20 times as much
        Assert.Equal(GradientSpikes.Window, spikes.State.Count);
    }

    [Fact]
    public void Observe_never_skips_when_it_is_off_or_the_recent_gradients_were_0()
    {
        var off = new GradientSpikes(null);
        var zeros = new GradientSpikes(2);
        for (int i = 0; i < 20; i++)
        {
            Assert.Null(off.Observe(1));
            Assert.Null(zeros.Observe(0));
        }

        Assert.Null(off.Observe(1e30));
        Assert.Null(zeros.Observe(1));
    }

    [Fact]
    public void Restore_goes_on_where_the_state_was_taken()
    {
        var first = new GradientSpikes(20);
        for (int i = 0; i < 20; i++)
        {
            first.Observe(1 + (i / 10.0));
        }

        var second = new GradientSpikes(20);
        second.Restore(first.State);
        Assert.Equal(first.Observe(39.5), second.Observe(39.5));
        Assert.Equal(first.State, second.State);
    }

    [Fact]
    public void Update_leaves_weights_and_moments_alone_when_the_gradient_is_a_spike()
    {
        using BigramPolicy policy = Toy.Policy();
        var log = new ListLogger<GrpoOptimizer>();
        using var optimizer = new GrpoOptimizer(
            new GrpoPlugIns(policy, Toy.Sampler, new Toy.LetterReward()), Toy.Options with { LearningRate = 1e-3 }, log);
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab.", "c.");
        for (int i = 0; i < 16; i++)
        {
            Assert.Null(Assert.Single(optimizer.Update([Toy.Scored(group, 0.01, -0.01)])).SkipReason);
        }

        float[] weights = policy.Weights();
        float[] moments = Toy.SavedMoment(optimizer);
        UpdateReport spike = Assert.Single(optimizer.Update([Toy.Scored(group, 10, -10)])); // a gradient a thousand times as long
        Assert.StartsWith("The gradient norm is ", spike.SkipReason, StringComparison.Ordinal);
        Assert.Equal(weights, policy.Weights());
        Assert.Equal(moments, Toy.SavedMoment(optimizer));
        Assert.Equal(17, optimizer.Step);
        Assert.Contains(log.Entries, entry => entry.Id == 3
            && entry.Text.StartsWith("Step 17: an update was skipped. The gradient norm is ", StringComparison.Ordinal));

        Assert.Null(Assert.Single(optimizer.Update([Toy.Scored(group, 0.01, -0.01)])).SkipReason);
        Assert.NotEqual(weights, policy.Weights());
    }

    [Fact]
    public void Load_remembers_the_norms_so_that_a_resumed_run_skips_the_same_updates()
    {
        using var folder = new TemporaryFolder();
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab.", "c.");
        using (BigramPolicy policy = Toy.Policy())
        {
            using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
            for (int i = 0; i < 16; i++)
            {
                optimizer.Update([Toy.Scored(group, 0.01, -0.01)]);
            }

            optimizer.Save(folder.Path);
        }

        using BigramPolicy resumedPolicy = Toy.Policy();
        using var resumed = new GrpoOptimizer(resumedPolicy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        resumed.Load(folder.Path);
        Assert.NotNull(Assert.Single(resumed.Update([Toy.Scored(group, 10, -10)])).SkipReason);
    }
}
