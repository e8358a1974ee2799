using CsCheck;
using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>A prompt computed once for its group: log-probs, losses and gradients are those of the plain path.</summary>
public sealed class SharedPromptTests
{
    // Relative to the largest value: the same sums in another order, in float32.
    private const double Tolerance = 1e-5;

    private static readonly TokenSequence[] Group =
        [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9, 1]), new([1, 2, 3], []), new([1, 2, 3], [9]), new([6], [7]), new(
            [10, 11], [12, 13, 14])];

    [Theory]
    [InlineData("qwen2", true, false, 1.0)]
    [InlineData("qwen2", false, false, 0.7)]
    [InlineData("qwen2", true, true, 0.7)]
    [InlineData("qwen2", false, true, 1.0)]
    [InlineData("qwen3", true, true, 0.7)]
    [InlineData("llama", false, true, 0.7)]
    [InlineData("llama with biases", true, false, 0.7)]
    public void Log_probs_entropies_and_gradients_do_not_depend_on_sharing(string family, bool tied, bool checkpointing, double temperature)
    {
        using var policy = Policy(tied, family);
        using var scope = TensorScope.Begin();
        (Tensor[] expected, Tensor[] expectedGradients) = Run(policy, Group, share: false, temperature);
        policy.Model.GradientCheckpointing = checkpointing;
        (Tensor[] actual, Tensor[] gradients) = Run(policy, Group, share: true, temperature);
        Near(expected, actual);
        Near(expectedGradients, gradients);
        Assert.Equal([6, 4], actual[0].shape);
        Assert.True(expectedGradients.All(gradient => gradient.abs().max().item<float>() > 0));
    }

    [Fact]
    public void Sharing_changes_nothing_on_random_batches() =>
        Gen.Select(
            Gen.Int[1, 36].Array[1, 7].Array[1, 3], Gen.Select(Gen.Int[0, 2], Gen.Int[1, 36].Array[0, 6]).Array[2, 7], Gen.Bool,
            Gen.Bool, TinyModels.AnyFamily).Sample(
                (prompts, rows, tied, checkpointing, family) =>
                {
                    TokenSequence[] sequences = [.. rows.Select(row => new TokenSequence(prompts[row.Item1 % prompts.Length], row.Item2))];
                    using var policy = Policy(tied, family);
                    using var scope = TensorScope.Begin();
                    (Tensor[] expected, Tensor[] expectedGradients) = Run(policy, sequences, share: false, temperature: 0.9);
                    policy.Model.GradientCheckpointing = checkpointing;
                    (Tensor[] actual, Tensor[] gradients) = Run(policy, sequences, share: true, temperature: 0.9);
                    Near(expected, actual);
                    Near(expectedGradients, gradients);
                },
                iter: 40,
                threads: 1);

    [Fact]
    public void Without_gradient_the_log_probs_are_those_with()
    {
        using var policy = Policy();
        using var reference = QwenReferenceModel.CopyOf(policy);
        using var scope = TensorScope.Begin();
        TokenBatch batch = Batch(Group, share: true);
        TensorAssert.Identical(policy.LogProbs(batch, 0.8).detach(), reference.LogProbs(batch, 0.8), "log-probs");
    }

    [Fact]
    public void A_row_does_not_depend_on_the_others_of_its_group()
    {
        using var policy = Policy();
        using var scope = TensorScope.BeginNoGrad();
        Tensor before = policy.LogProbs(Batch(Group, share: true), 1);
        TokenSequence[] changed = [.. Group];
        changed[3] = new([1, 2, 3], [30, 31, 32]);
        Tensor after = policy.LogProbs(Batch(changed, share: true), 1);
        TensorAssert.Near(before[0], after[0], Tolerance);
        Assert.True((before[3] - after[3]).abs().max().item<float>() > 0.01);
    }

    [Fact]
    public void The_builder_finds_equal_prompts_by_content_and_says_nothing_where_there_are_none()
    {
        using var scope = TensorScope.Begin();
        SharedPrompts shared = Batch(Group, share: true).SharedPrompts!;
        Assert.Equal([0L, 1, 5], shared.FirstRows.data<long>().ToArray());
        Assert.Equal([0L, 1, 0, 0, 1, 2], shared.PromptOfRow.data<long>().ToArray());
        Assert.Null(Batch([Group[0], Group[1]], share: true).SharedPrompts);
        Assert.Null(Batch(Group, share: false).SharedPrompts);
    }

    [Fact]
    public void A_batch_that_breaks_the_padding_rules_is_refused()
    {
        using var policy = Policy();
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = Batch(Group, share: true);
        Assert.Contains(
            "Prompt 0 of the batch has 0 real tokens, but not together at the end",
            Refusal(batch with { PromptMask = batch.PromptMask.eq(0).to(ScalarType.Int64) }), StringComparison.Ordinal);
        Assert.Contains(
            "Completion 0 of the batch has 2 real tokens, but not together at the start",
            Refusal(batch with { CompletionMask = batch.CompletionMask.flip(1) }), StringComparison.Ordinal);
        Assert.Contains(
            "names prompts [1, 2, 1, 1, 2, 3] but there are 3",
            Refusal(batch with { SharedPrompts = batch.SharedPrompts! with { PromptOfRow = batch.SharedPrompts.PromptOfRow + 1 } }),
            StringComparison.Ordinal);

        string Refusal(TokenBatch wrong) => Assert.ThrowsAny<ArgumentException>(() => policy.LogProbs(wrong, 1)).Message;
    }

    private static QwenPolicy Policy(bool tied = true, string family = "qwen2") =>
        new(TinyModels.Uneven(TinyModels.Config(tied, family)));

    private static (Tensor[] Values, Tensor[] Gradients) Run(QwenPolicy policy, TokenSequence[] sequences, bool share, double temperature)
    {
        policy.Module.zero_grad();
        TokenBatch batch = Batch(sequences, share);
        Tensor logProbs = policy.LogProbs(batch, temperature);
        TokenStatistics both = policy.LogProbsAndEntropies(batch, temperature);
        using var generator = new Generator(11);
        Tensor upstream = randn(logProbs.shape, generator: generator);
        Tensor loss = (logProbs * upstream).sum() + (both.Entropies * upstream.flip(0)).sum();
        if (loss.requires_grad)
        {
            loss.backward();
        }

        return ([logProbs.detach(), both.LogProbs.detach(), both.Entropies.detach(), loss.detach().reshape(1)],
            [.. policy.Module.parameters().Select(parameter => parameter.grad?.clone() ?? zeros_like(parameter))]);
    }

    private static void Near(Tensor[] expected, Tensor[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            double scale = expected[i].numel() == 0 ? 1 : Math.Max(1, expected[i].abs().max().item<float>());
            Assert.Equal(expected[i].shape, actual[i].shape);
            if (expected[i].numel() > 0)
            {
                TensorAssert.Near(expected[i], actual[i], Tolerance * scale, $"tensor {i}");
            }
        }
    }

    private static TokenBatch Batch(IReadOnlyList<TokenSequence> sequences, bool share) =>
        TokenBatchBuilder.Build(sequences, padTokenId: 0, CPU, share);
}
