using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>RoPE: rotates the pairs (i, i + D/2) of every head by position · θ^(−2i/D).</summary>
/// <remarks>
/// RoFormer, arXiv:2104.09864, in the half-split layout of the Qwen2 checkpoints. Angles are float32, as in the model's training.
/// </remarks>
internal static class RotaryEmbedding
{
    /// <summary>cos and sin of every angle; the sine carries the minus of the first half.</summary>
    /// <param name="positions">[B, T] int64.</param>
    /// <param name="config">D and θ.</param>
    /// <param name="type">Type of the tables: that of the heads that they rotate.</param>
    /// <returns>Two tensors [B, T, 1, D], owned by the caller's scope.</returns>
    internal static (Tensor Cosine, Tensor SignedSine) Tables(Tensor positions, Qwen2Config config, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        int width = config.HeadWidth;
        Tensor exponents = arange(0, width, 2, ScalarType.Float64, positions.device) * (-Math.Log(config.RopeTheta) / width);
        Tensor frequencies = exponents.exp().to(ScalarType.Float32);                                    // [D/2]
        Tensor angles = positions.to(ScalarType.Float32).unsqueeze(-1) * frequencies;                   // [B, T, D/2]
        Tensor cosine = angles.cos();
        Tensor sine = angles.sin();
        Tensor cosines = cat([cosine, cosine], -1).unsqueeze(2).to(type);                               // [B, T, 1, D]
        Tensor signedSines = cat([-sine, sine], -1).unsqueeze(2).to(type);                              // [B, T, 1, D]
        return (scope.Keep(cosines), scope.Keep(signedSines));
    }

    /// <summary>Rotates the heads.</summary>
    /// <param name="heads">[B, T, heads, D].</param>
    /// <param name="cosine">[B, T, 1, D].</param>
    /// <param name="signedSine">[B, T, 1, D].</param>
    /// <returns>[B, T, heads, D].</returns>
    internal static Tensor Rotate(Tensor heads, Tensor cosine, Tensor signedSine)
    {
        using var scope = TensorScope.Begin();
        // Rolling by D/2 swaps the halves; the sign is in the table, so nothing is negated or concatenated here.
        Tensor swapped = heads.roll(heads.shape[3] / 2, -1);
        return scope.Keep((heads * cosine) + (swapped * signedSine));
    }
}
