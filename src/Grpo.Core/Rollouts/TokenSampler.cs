using System.Buffers;
using System.Runtime.InteropServices;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Rollouts;

/// <summary>
/// Samples the next token of every row from the logits, on the device of the logits.
/// </summary>
internal static class TokenSampler
{
    /// <summary>
    /// Samples a token per row. Its random number depends only on the row and its position, not on the other rows of the batch.
    /// </summary>
    /// <param name="logits">The logits, [B, V], of any float type. Borrowed.</param>
    /// <param name="rows">The rows, B of them.</param>
    /// <param name="sampling">The temperature and filters.</param>
    public static SampledToken[] Sample(Tensor logits, IReadOnlyList<RolloutRow> rows, SamplingOptions sampling)
    {
        TensorGuard.Require(logits, nameof(logits), "[B, V]", rows.Count, -1);
        using var scope = TensorScope.BeginNoGrad();
        if (DeviceTransfer.IsOnDevice(logits))
        {
            return SampleOnDevice(logits, rows, sampling);
        }

        Tensor onCpu = DeviceTransfer.ToCpu(logits.to(ScalarType.Float32)).contiguous();
        int vocabulary = checked((int)onCpu.shape[1]);
        var tokens = new SampledToken[rows.Count];
        for (int row = 0; row < rows.Count; row++)
        {
            using Tensor line = onCpu.select(0, row);
            tokens[row] = Sample(MemoryMarshal.Cast<byte, float>(DeviceTransfer.Bytes(line))[..vocabulary], rows[row], sampling);
        }

        return tokens;
    }

    private static SampledToken[] SampleOnDevice(Tensor logits, IReadOnlyList<RolloutRow> rows, SamplingOptions sampling)
    {
        double[] uniforms = [.. rows.Select(Uniform)];
        if (!sampling.HasFilters)
        {
            return DeviceTokenSampler.Sample(logits, sampling.Temperature, uniforms);
        }

        bool greedy = sampling.Temperature == 0;
        IEnumerable<int>[] histories = [.. rows.Select(row => row.PromptIds.Concat(row.Completion.Ids))];
        Tensor filtered = DeviceSamplingFilters.Apply(logits, histories, greedy ? sampling with { Temperature = 1 } : sampling);
        return DeviceTokenSampler.Sample(filtered, greedy ? 0 : 1, uniforms); // the filters have divided by the temperature
    }

    private static SampledToken Sample(Span<float> logits, RolloutRow row, SamplingOptions sampling)
    {
        bool greedy = sampling.Temperature == 0;
        if (!sampling.HasFilters)
        {
            return greedy ? CpuTokenSampler.Greedy(logits) : CpuTokenSampler.Sample(logits, sampling.Temperature, Uniform(row));
        }

        // Filters change a copy, since the logits belong to the session. The copy is rented: a row of a large vocabulary would be an object
        // that only a full garbage collection frees.
        float[] rented = ArrayPool<float>.Shared.Rent(logits.Length);
        try
        {
            Span<float> filtered = rented.AsSpan(0, logits.Length);
            logits.CopyTo(filtered);
            SamplingFilters.Apply(
                filtered, row.PromptIds.Concat(row.Completion.Ids), greedy ? sampling with { Temperature = 1 } : sampling);
            return greedy ? CpuTokenSampler.Greedy(filtered) : CpuTokenSampler.Sample(filtered, temperature: 1, Uniform(row));
        }
        finally
        {
            ArrayPool<float>.Shared.Return(rented);
        }
    }

    private static double Uniform(RolloutRow row) => CounterRandom.Uniform(row.Completion.RandomKey, row.Completion.Ids.Count);
}

/// <summary>A sampled token with the log-probability and entropy of its distribution.</summary>
/// <param name="Id">The token id.</param>
/// <param name="LogProb">
/// The log-probability of the token under the distribution that it was sampled from, in nats. For greedy decoding, the
/// one at temperature 1.
/// </param>
/// <param name="Entropy">The entropy of that distribution, in nats.</param>
internal readonly record struct SampledToken(int Id, float LogProb, float Entropy);
