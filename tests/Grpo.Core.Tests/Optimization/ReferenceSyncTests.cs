using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

public sealed class ReferenceSyncTests
{
    private static GrpoOptions Options => Toy.Options with { KlCoefficient = 0.1, ReferenceSyncEvery = 2, ReferenceSyncMix = 0.25 };

    [Fact]
    public async Task StepAsync_moves_the_reference_after_every_second_step()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Options, reference);
        float[] before = reference.Weights();

        Assert.False((await optimizer.StepAsync(Toy.Prompts)).ReferenceMoved);
        Assert.Equal(before, reference.Weights());

        Assert.True((await optimizer.StepAsync(Toy.Prompts)).ReferenceMoved);
        float[] expected = [.. before.Zip(policy.Weights(), (old, now) => old + (0.25f * (now - old)))];
        Assert.All(expected.Zip(reference.Weights()), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
        Assert.NotEqual(before, reference.Weights());

        Assert.False((await optimizer.StepAsync(Toy.Prompts)).ReferenceMoved);
    }

    [Fact]
    public async Task StepAsync_replaces_the_reference_exactly_when_the_mix_is_one()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), Options with { ReferenceSyncEvery = 1, ReferenceSyncMix = 1 }, reference);
        await optimizer.StepAsync(Toy.Prompts);
        Assert.Equal(policy.Weights(), reference.Weights());
    }

    [Fact]
    public async Task Load_restores_the_moved_reference_so_that_the_run_goes_on_exactly()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Options, reference);
        for (int step = 0; step < 3; step++)
        {
            await optimizer.StepAsync(Toy.Prompts);
        }

        optimizer.Save(folder.Path);
        string[] expected = [Toy.Describe(await optimizer.StepAsync(Toy.Prompts)), Toy.Describe(await optimizer.StepAsync(Toy.Prompts))];

        using BigramPolicy resumedPolicy = Toy.Policy(), fresh = Toy.Policy(seed: 12);
        using var resumed = new GrpoOptimizer(resumedPolicy, Toy.Sampler, new Toy.LetterReward(), Options, fresh);
        resumed.Load(folder.Path);
        Assert.Equal(
            expected, new[] { Toy.Describe(await resumed.StepAsync(Toy.Prompts)), Toy.Describe(await resumed.StepAsync(Toy.Prompts)) });
        Assert.Equal(reference.Weights(), fresh.Weights());
    }

    [Fact]
    public async Task Load_refuses_a_checkpoint_without_the_reference_and_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Options, reference);
        await optimizer.StepAsync(Toy.Prompts);
        optimizer.Save(folder.Path);
        File.Delete(folder["reference.safetensors"]);
        SafetensorsWriter.Write(folder["reference.safetensors"], []);

        float[] weights = policy.Weights();
        await optimizer.StepAsync(Toy.Prompts);
        float[] moved = policy.Weights();
        var exception = Assert.Throws<InvalidDataException>(() => optimizer.Load(folder.Path));
        Assert.Equal(
            $"'{folder["reference.safetensors"]}' holds no 'table' of shape [10, 10]: it belongs to another model or "
            + "another choice of trained parameters.",
            exception.Message);
        Assert.NotEqual(weights, moved);
        Assert.Equal(moved, policy.Weights());
    }

    [Fact]
    public void GrpoOptimizer_refuses_a_reference_that_cannot_be_moved()
    {
        using BigramPolicy policy = Toy.Policy(), other = new(vocabularySize: 4);
        Assert.Equal(
            "ReferenceSyncEvery is 2 but Frozen has no weights that could be moved (its Module is null). Set ReferenceSyncEvery to null.",
            Refusal(policy, new Frozen(policy)));
        Assert.Equal(
            "The reference model BigramPolicy has no weight 'table' of shape [10, 10], so it cannot be moved toward the policy. "
            + "Use a copy of the policy, or set ReferenceSyncEvery to null.",
            Refusal(policy, other));
        Assert.Equal(
            "The reference model shares the weight 'table' with the policy: it follows the policy at every step. "
            + "Give it a copy of its own.",
            Refusal(policy, policy));
    }

    [Fact]
    public void Validate_refuses_a_move_without_a_kl_term() => Assert.Equal(
        "ReferenceSyncEvery is 2 but must be null without a KL term: there is no reference model to move.",
        Assert.Single((Options with { KlCoefficient = 0 }).Validate()));

    private static string Refusal(BigramPolicy policy, IReferenceModel reference) =>
        Assert.Throws<InvalidOperationException>(
            () => new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Options, reference)).Message;

    private sealed class Frozen(BigramPolicy inner) : IReferenceModel
    {
        public Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);
    }
}
