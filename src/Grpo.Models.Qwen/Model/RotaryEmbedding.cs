using Grpo.Models.Qwen.Config;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>Rotary position embedding (RoPE): rotates the pairs (i, i + D/2) of every head by position · frequency i.</summary>
/// <remarks>
/// RoFormer, arXiv:2104.09864, in the half-split layout of Hugging Face checkpoints. The angles are float32, as in the training of the
/// models.
/// </remarks>
internal static class RotaryEmbedding
{
    /// <summary>
    /// Computes cosine and sine of every angle, times the gain of the scaling. The first half of the sines is negated, so that rotating
    /// needs no further signs.
    /// </summary>
    /// <param name="positions">The positions of the tokens, [B, T] int64.</param>
    /// <param name="config">The configuration of the model, for D, θ and the scaling.</param>
    /// <param name="type">The type of the tables, which is that of the heads they rotate.</param>
    /// <returns>Two tensors [B, T, 1, D], owned by the caller's scope.</returns>
    internal static (Tensor Cosine, Tensor SignedSine) Tables(Tensor positions, DecoderConfig config, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor frequencies = RotaryFrequencies.Compute(config, positions.device).to(ScalarType.Float32);    // [D/2]
        Tensor angles = positions.to(ScalarType.Float32).unsqueeze(-1) * frequencies;                   // [B, T, D/2]
        Tensor cosine = angles.cos();
        Tensor sine = angles.sin();
        if (config.RopeScaling is { Gain: not 1 and double gain })
        {
            cosine.mul_(gain);
            sine.mul_(gain);
        }

        Tensor cosines = cat([cosine, cosine], -1).unsqueeze(2).to(type);                               // [B, T, 1, D]
        Tensor signedSines = cat([-sine, sine], -1).unsqueeze(2).to(type);                              // [B, T, 1, D]
        return (scope.Keep(cosines), scope.Keep(signedSines));
    }

    /// <summary>Rotates the heads.</summary>
    /// <param name="heads">The heads, [B, T, heads, D].</param>
    /// <param name="cosine">The cosines, [B, T, 1, D].</param>
    /// <param name="signedSine">The sines with the sign of the rotation, [B, T, 1, D].</param>
    /// <returns>The rotated heads, [B, T, heads, D].</returns>
    internal static Tensor Rotate(Tensor heads, Tensor cosine, Tensor signedSine)
    {
        using var scope = TensorScope.Begin();
        // Rolling by D/2 swaps the halves. The sign is in the table, so nothing is negated or concatenated here.
        Tensor swapped = heads.roll(heads.shape[3] / 2, -1);
        return scope.Keep((heads * cosine) + (swapped * signedSine));
    }
}
