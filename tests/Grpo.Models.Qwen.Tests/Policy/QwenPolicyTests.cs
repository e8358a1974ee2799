using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class QwenPolicyTests
{
    private static readonly TokenSequence[] Sequences = [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([10, 11], [])];

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.6)]
    public void LogProbs_and_entropies_are_those_of_the_softmax_over_all_logits_and_0_where_masked(double temperature)
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var scope = TensorScope.BeginNoGrad();
        Tensor logProbs = policy.LogProbs(Batch(Sequences), temperature);                                // [3, 3]
        TokenStatistics both = policy.LogProbsAndEntropies(Batch(Sequences), temperature);               // [3, 3] each
        Assert.Equal([3, 3], logProbs.shape);
        Assert.Equal(ScalarType.Float32, logProbs.dtype);
        for (int row = 0; row < 3; row++)
        {
            (IReadOnlyList<int> prompt, IReadOnlyList<int> completion) = Sequences[row];
            Tensor tokenIds = DecodingSessionTests.Ids([.. prompt, .. completion]).unsqueeze(0);
            Tensor all = (policy.Model.call(tokenIds, null)[0] / temperature).log_softmax(-1);           // [T, V]
            for (int t = 0; t < 3; t++)
            {
                double expected = t < completion.Count ? all[prompt.Count + t - 1, completion[t]].item<float>() : 0;
                Assert.Equal(expected, logProbs[row, t].item<float>(), 2e-5);
                Assert.Equal(expected, both.LogProbs[row, t].item<float>(), 2e-5);
                Tensor distribution = all[prompt.Count + Math.Min(t, Math.Max(completion.Count - 1, 0)) - 1];
                double entropy = t < completion.Count ? -(distribution.exp() * distribution).sum().item<float>() : 0;
                Assert.Equal(entropy, both.Entropies[row, t].item<float>(), 2e-5);
            }
        }
    }

    [Fact]
    public void LogProbs_do_not_depend_on_what_else_is_in_the_batch()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var scope = TensorScope.BeginNoGrad();
        Tensor together = policy.LogProbs(Batch(Sequences), 1);
        TensorAssert.Near(policy.LogProbs(Batch([Sequences[0]]), 1)[0], together[0].narrow(0, 0, 2), 2e-5);
        TensorAssert.Near(policy.LogProbs(Batch([Sequences[1]]), 1)[0], together[1], 2e-5);
    }

    [Fact]
    public void Gradients_of_a_batch_are_the_sum_of_those_of_its_rows()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var scope = TensorScope.Begin();
        policy.LogProbs(Batch(Sequences), 1).sum().backward();
        Tensor[] together = [.. policy.Module.parameters().Select(parameter => parameter.grad!.clone())];
        policy.Module.zero_grad();
        foreach (TokenSequence sequence in Sequences[..2])
        {
            policy.LogProbs(Batch([sequence]), 1).sum().backward();
        }

        foreach (((string name, Tensor parameter), Tensor expected) in policy.Module.named_parameters().Zip(together))
        {
            TensorAssert.Near(expected, parameter.grad!, 1e-5 * Math.Max(1, expected.abs().max().item<float>()), name);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LogProbs_and_gradients_of_a_loss_that_is_known_are_those_of_one_that_is_not(bool sharePrompts)
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build(
            [new([1, 2, 3], [4, 5]), new([1, 2, 3], [7, 8, 9]), new([10, 11], [])], padTokenId: 0, CPU, sharePrompts);
        Tensor factors = tensor(new float[,] { { 1, -2, 100 }, { 3, 0.5f, -1 }, { 100, 100, 100 } });        // 100: of padding
        Tensor expected = policy.LogProbs(batch, 0.8);
        (expected * factors * batch.CompletionMask).sum().backward();
        Tensor[] gradients = [.. policy.Module.parameters().Select(parameter => parameter.grad!.clone())];
        policy.Module.zero_grad();

        Tensor actual = policy.LogProbs(batch, 0.8, logProbs => factors * batch.CompletionMask);
        (actual * factors * batch.CompletionMask).sum().backward();
        TensorAssert.Near(expected, actual, 2e-5);
        foreach (((string name, Tensor parameter), Tensor gradient) in policy.Module.named_parameters().Zip(gradients))
        {
            TensorAssert.Near(gradient, parameter.grad!, 1e-5 * Math.Max(1, gradient.abs().max().item<float>()), name);
        }
    }

    [Fact]
    public void LogProbs_of_empty_completions_are_zeros()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var scope = TensorScope.Begin();
        Assert.Equal([2, 0], policy.LogProbs(Batch([new([1], []), new([2, 3], [])]), 1).shape);
        TokenBatch masked = Batch([new([1], [5, 6])]);
        masked = masked with { CompletionMask = zeros_like(masked.CompletionMask) };
        Assert.Equal(new float[] { 0, 0 }, policy.LogProbs(masked, 1).data<float>().ToArray());
        Assert.Equal(new float[] { 0, 0 }, policy.LogProbs(masked, 1, logProbs => ones_like(logProbs)).data<float>().ToArray());
        Assert.Equal(new float[] { 0, 0 }, policy.LogProbsAndEntropies(masked, 1).Entropies.data<float>().ToArray());
    }

    [Fact]
    public void Save_and_Load_restore_the_weights_in_place_and_call_the_companions()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory();
        try
        {
            var companions = new List<string>();
            using var policy = new QwenPolicy(TinyModels.Create(), companions.Add);
            using var scope = TensorScope.BeginNoGrad();
            policy.Save(folder.FullName);
            Assert.Equal([folder.FullName], companions);
            Tensor parameter = policy.Module.parameters().First();
            Tensor before = parameter.clone();
            parameter.zero_();
            policy.Load(folder.FullName);
            TensorAssert.Identical(before, parameter, "first parameter");
            Assert.Same(parameter, policy.Module.parameters().First());
            Assert.True(parameter.requires_grad);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_reference_copy_stays_what_the_policy_was_and_has_no_gradients()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var reference = QwenReferenceModel.CopyOf(policy);
        using var scope = TensorScope.Begin();
        TokenBatch batch = Batch(Sequences);
        Tensor before = policy.LogProbs(batch, 0.8).detach();
        using (var noGrad = TensorScope.BeginNoGrad())
        {
            policy.Model.HeadWeight.mul_(1.5);
        }

        Tensor logProbs = reference.LogProbs(batch, 0.8);
        Assert.False(logProbs.requires_grad);
        TensorAssert.Identical(before, logProbs, "log-probs");
        Assert.True((policy.LogProbs(batch, 0.8) - logProbs).abs().max().item<float>() > 0.01);
    }

    private static TokenBatch Batch(IReadOnlyList<TokenSequence> sequences) => TokenBatchBuilder.Build(sequences, padTokenId: 0, CPU);
}
