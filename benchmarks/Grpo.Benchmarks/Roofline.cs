using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>What this machine can do at most, measured: every figure is a fraction of it.</summary>
/// <param name="Gemm">Operations per second of a large float32 matrix product.</param>
/// <param name="GemmBFloat16">The same in bfloat16.</param>
/// <param name="Bandwidth">Bytes per second read from memory, all cores together.</param>
internal sealed record Roofline(double Gemm, double GemmBFloat16, double Bandwidth)
{
    private const int Rounds = 7;

    public static Roofline Measure(Device device)
    {
        using var scope = TensorScope.BeginNoGrad();
        const long Size = 2048, Elements = 128L << 20; // 512 MiB: more than any cache
        Tensor left = rand(Size, Size, device: device), right = rand(Size, Size, device: device);
        Tensor left16 = left.to(ScalarType.BFloat16), right16 = right.to(ScalarType.BFloat16);
        Tensor large = ones([Elements], ScalarType.Float32, device);
        Timing[] timings = Stopwatches.Compare(
        [
            new("gemm", 0, () => Wait(left.mm(right))),
            new("gemm bf16", 0, () => Wait(left16.mm(right16))),
            new("read", 0, () => Wait(large.max())),
        ], Rounds);
        const double Operations = 2.0 * Size * Size * Size;
        return new Roofline(Operations / timings[0].Seconds, Operations / timings[1].Seconds, Elements * sizeof(float) / timings[2].Seconds);
    }

    /// <summary>The least seconds in which a case can be done.</summary>
    public double Bound(Case item) => Math.Max(item.Operations / Gemm, item.Bytes / Bandwidth);

    public override string ToString() => FormattableString.Invariant(
        $"roof: GEMM {Gemm / 1e9:F0} GFLOP/s in float32, {GemmBFloat16 / 1e9:F0} in bfloat16; {Bandwidth / (1 << 30):F1} GiB/s read");

    // A number on the host is the proof that a device has finished.
    private static void Wait(Tensor result)
    {
        using Tensor first = result.reshape(-1).narrow(0, 0, 1).to(ScalarType.Float32).cpu();
        result.Dispose();
    }
}
