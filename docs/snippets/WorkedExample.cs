using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>The numbers of algorithm.md, computed by the library.</summary>
public static class WorkedExample
{
    public static double[] Advantages()
    {
        var group = new AdvantageGroup(Rewards: [1, 0, 0, 0], Lengths: [2, 1, 2, 1]);
        double[][] advantages = new GroupNormalizedAdvantage().Compute([group]);     // 1.4997, −0.4999, −0.4999, −0.4999
        return advantages[0];
    }

    public static double Loss(LossReduction reduction) => LossAndGradient(reduction).Loss;

    /// <summary>The loss, and its derivative by log π of each of the six tokens, in the order of the page.</summary>
    public static (double Loss, float[] Gradient) LossAndGradient(LossReduction reduction)
    {
        using var scope = TensorScope.Begin();
        Tensor logProbs = tensor(new float[,] { { -1.0f, -0.3f }, { -0.8f, 0 }, { -0.9f, -0.2f }, { -0.4f, 0 } });      // [B, C]
        Tensor oldLogProbs = tensor(new float[,] { { -1.2f, -0.3f }, { -0.5f, 0 }, { -0.9f, -0.2f }, { -0.4f, 0 } });   // [B, C]
        Tensor mask = tensor(new float[,] { { 1, 1 }, { 1, 0 }, { 1, 1 }, { 1, 0 } });                                  // [B, C]
        Tensor advantages = tensor(new float[] { 1.4997f, -0.4999f, -0.4999f, -0.4999f });                              // [B]
        logProbs.requires_grad = true;

        var inputs = new LossInputs(logProbs, oldLogProbs, ReferenceLogProbs: null, advantages, mask);
        var denominators = new LossDenominators(Sequences: 4, Tokens: 6, MaxCompletionTokens: 8);
        LossResult result = GrpoLoss.Compute(inputs, new LossSettings { Reduction = reduction }, denominators);
        result.Loss.backward();
        return (result.Loss.item<float>(), logProbs.grad!.masked_select(mask.ne(0)).data<float>().ToArray());
    }

    public static double Kl()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor kl = KlPenalty.K3(logProbs: tensor(new[] { -1.0f }), referenceLogProbs: tensor(new[] { -1.1f }));        // [1]
        return kl.item<float>();
    }
}
