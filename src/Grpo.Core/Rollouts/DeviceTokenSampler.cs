using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Rollouts;

/// <summary>
/// Samples a token for all rows at once on the logits' device, as <see cref="CpuTokenSampler"/> does, with one transfer to the CPU.
/// </summary>
internal static class DeviceTokenSampler
{
    /// <summary>Samples a token per row.</summary>
    /// <param name="logits">The logits, [B, V], of any float type. Borrowed.</param>
    /// <param name="temperature">The temperature; 0 is greedy.</param>
    /// <param name="uniforms">The uniform random number of each row, in [0, 1). Not read for greedy decoding.</param>
    /// <exception cref="TrainingDivergedException">A row holds NaN or ∞.</exception>
    public static SampledToken[] Sample(Tensor logits, double temperature, double[] uniforms)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor logProbs = (logits.to(ScalarType.Float32) / (temperature > 0 ? temperature : 1)).log_softmax(-1);  // [B, V]
        Tensor probs = logProbs.exp();
        // The clamp avoids 0 · −∞, which would be NaN.
        Tensor entropy = -(probs * logProbs.clamp_min(-1e4)).sum(1L);                                             // [B]
        Tensor ids = temperature > 0 ? Invert(probs, uniforms) : logProbs.argmax(1);                              // [B]
        Tensor sampled = logProbs.gather(1, ids.unsqueeze(1)).squeeze(1);                                         // [B]
        double[] values = DeviceTransfer.ToArray<double>(                                                         // [3, B]
            torch.stack([ids.to(ScalarType.Float64), sampled.to(ScalarType.Float64), entropy.to(ScalarType.Float64)]));
        int rows = values.Length / 3;
        var tokens = new SampledToken[rows];
        for (int row = 0; row < rows; row++)
        {
            if (!double.IsFinite(values[rows + row]))
            {
                throw new TrainingDivergedException(
                    $"The logits of row {row} hold NaN or ∞: the policy has diverged. Lower the learning rate.");
            }

            tokens[row] = new SampledToken((int)values[row], (float)values[rows + row], (float)values[(2 * rows) + row]);
        }

        return tokens;
    }

    // Inverts the cumulative distribution of each row at its uniform number.
    private static Tensor Invert(Tensor probs, double[] uniforms)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor cumulative = probs.to(ScalarType.Float64).cumsum(1);                                               // [B, V]
        Tensor targets = DeviceTransfer.ToDevice(uniforms, probs.device).unsqueeze(1) * cumulative.narrow(1, -1, 1);       // [B, 1]
        Tensor ids = torch.searchsorted(cumulative, targets, right: true).squeeze(1);                             // [B]
        return scope.Keep(ids.clamp_max(probs.shape[1] - 1));
    }
}
