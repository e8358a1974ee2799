using System.Buffers;
using System.Runtime.InteropServices;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Rollouts;

/// <summary>Draws the next token of every row from their logits: on a GPU where they are, else on the host.</summary>
internal static class TokenDraw
{
    /// <summary>Draws a token per row. Its uniform number is a function of the row and its position, so a row's neighbours do not matter.</summary>
    /// <param name="logits">[B, V], any float type. Borrowed.</param>
    /// <param name="rows">The rows, B.</param>
    /// <param name="sampling">Temperature and filters.</param>
    public static PickedToken[] Pick(Tensor logits, IReadOnlyList<RolloutRow> rows, SamplingOptions sampling)
    {
        TensorGuard.Require(logits, nameof(logits), "[B, V]", rows.Count, -1);
        if (logits.device_type != DeviceType.CPU && !sampling.HasFilters)
        {
            return DeviceTokenPicker.Pick(logits, sampling.Temperature, [.. rows.Select(Uniform)]);
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor host = logits.to(ScalarType.Float32).cpu().contiguous();
        int vocabulary = checked((int)host.shape[1]);
        var tokens = new PickedToken[rows.Count];
        for (int row = 0; row < rows.Count; row++)
        {
            using Tensor line = host.select(0, row);
            tokens[row] = Pick(MemoryMarshal.Cast<byte, float>(line.bytes)[..vocabulary], rows[row], sampling);
        }

        return tokens;
    }

    private static PickedToken Pick(Span<float> logits, RolloutRow row, SamplingOptions sampling)
    {
        bool greedy = sampling.Temperature == 0;
        if (!sampling.HasFilters)
        {
            return greedy ? TokenPicker.Greedy(logits) : TokenPicker.Sample(logits, sampling.Temperature, Uniform(row));
        }

        // A filter may change the logits of its own copy; the session's stay as they are. Rented: a row of a large vocabulary is an object
        // that only a full garbage collection frees.
        float[] rented = ArrayPool<float>.Shared.Rent(logits.Length);
        try
        {
            Span<float> filtered = rented.AsSpan(0, logits.Length);
            logits.CopyTo(filtered);
            SamplingFilters.Apply(filtered, row.PromptIds.Concat(row.Completion.Ids), greedy ? sampling with { Temperature = 1 } : sampling);
            return greedy ? TokenPicker.Greedy(filtered) : TokenPicker.Sample(filtered, temperature: 1, Uniform(row));
        }
        finally
        {
            ArrayPool<float>.Shared.Return(rented);
        }
    }

    private static double Uniform(RolloutRow row) => CounterRandom.Uniform(row.Completion.RandomKey, row.Completion.Ids.Count);
}
