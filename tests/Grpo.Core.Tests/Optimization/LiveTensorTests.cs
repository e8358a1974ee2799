using Grpo.Evaluation;
using Grpo.Planning;
using Grpo.Testing;
using TorchSharp;

namespace Grpo.Core.Tests.Optimization;

/// <summary>Runs alone: the counter of live tensors is one for the whole process.</summary>
[CollectionDefinition(nameof(LiveTensorTests), DisableParallelization = true)]
public sealed class RunsAlone;

[Collection(nameof(LiveTensorTests))]
public sealed class LiveTensorTests
{
    /// <summary>What earlier tests left to the finalizer must not leave the count in the middle of one of these.</summary>
    public LiveTensorTests()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [Theory]
    [InlineData(0.0, 1, OptimizerMoments.Float32)]
    [InlineData(0.04, 3, OptimizerMoments.Float32)]
    [InlineData(0.0, 1, OptimizerMoments.Int8)]
    public async Task StepAsync_leaves_as_many_tensors_after_step_30_as_after_step_3(
        double klCoefficient, int updatesPerRollout, OptimizerMoments moments)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(),
            Toy.Options with { KlCoefficient = klCoefficient, UpdatesPerRollout = updatesPerRollout, OptimizerMoments = moments },
            reference);
        long after3 = 0;
        for (int step = 1; step <= 30; step++)
        {
            await optimizer.StepAsync(Toy.Prompts);
            after3 = step == 3 ? torch.Tensor.TotalCount : after3;
        }

        Assert.Equal(after3, torch.Tensor.TotalCount);
    }

    [Fact]
    public async Task SampleAsync_and_evaluation_leave_no_tensor()
    {
        using BigramPolicy policy = Toy.Policy();
        var evaluator = new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, Toy.Options.Sampling);
        long before = torch.Tensor.TotalCount;
        await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts));
        await evaluator.EvaluateAsync(policy);
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    [Fact]
    public async Task StepAsync_leaves_no_tensor_when_it_fails()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        await optimizer.StepAsync(Toy.Prompts);
        long before = torch.Tensor.TotalCount;
        policy.OnLogProbs = () => throw new InvalidOperationException("the forward pass failed");
        await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync(Toy.Prompts));
        policy.OnAdvance = () => throw new InvalidOperationException("the decoding failed");
        await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync(Toy.Prompts));
        Assert.Equal(before, torch.Tensor.TotalCount);
    }

    [Fact]
    public void TotalCount_keeps_one_for_each_parameter_that_was_made()
    {
        // A fact of TorchSharp that docs/memory.md warns of: the tensor that becomes a parameter is never counted off.
        long before = torch.Tensor.TotalCount;
        for (int i = 0; i < 5; i++)
        {
            new BigramPolicy(vocabularySize: 3).Dispose(); // one parameter each
        }

        Assert.Equal(5, torch.Tensor.TotalCount - before);
    }

    [Fact]
    public void Dispose_frees_everything_that_the_optimizer_owns()
    {
        using BigramPolicy policy = Toy.Policy();
        long before = torch.Tensor.TotalCount;
        var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "a", "b"), 1, -1)]);
        Assert.Equal(before + 2, torch.Tensor.TotalCount); // both moments of the table
        optimizer.Dispose();
        Assert.Equal(before, torch.Tensor.TotalCount);
    }
}
