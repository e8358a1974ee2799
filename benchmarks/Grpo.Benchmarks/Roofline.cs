using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>What this machine can do at most, measured: every figure is a fraction of it.</summary>
/// <param name="Gemm">Operations per second of the fastest of some large float32 matrix products, by whichever library is faster.</param>
/// <param name="GemmBFloat16">The same in bfloat16.</param>
/// <param name="Bandwidth">Bytes per second read from memory, all cores together.</param>
internal sealed record Roofline(double Gemm, double GemmBFloat16, double Bandwidth)
{
    private const int Rounds = 5;
    private const long Elements = 128L << 20; // 512 MiB: more than any cache

    // [rows, width] times [width, columns]: a square one, and those of a model's layers with results that the allocator has at hand.
    private static readonly (long Rows, long Width, long Columns)[] Products = [(2048, 2048, 2048), (2048, 4864, 896), (1024, 896, 896)];

    public static Roofline Measure(Device device)
    {
        double gemm = 0, bfloat16 = 0, bandwidth = 0;
        using var scope = TensorScope.BeginNoGrad();
        Tensor large = ones([Elements], ScalarType.Float32, device);
        foreach ((long rows, long width, long columns) in Products)
        {
            Tensor input = rand(rows, width, device: device), weight = rand(columns, width, device: device);
            Tensor input16 = input.to(ScalarType.BFloat16), weight16 = weight.to(ScalarType.BFloat16);
            double operations = 2.0 * rows * width * columns;
            // The best round: a roof is what the machine can do, not what it mostly does.
            double[] best = Stopwatches.Best(
            [
                new("gemm", 0, () => Wait(nn.functional.linear(input, weight))),
                new("gemm as convolution", 0, () => Wait(FastLinear.Apply(input, weight))),
                new("gemm bf16", 0, () => Wait(nn.functional.linear(input16, weight16))),
                new("read", 0, () => Wait(large.max())),
                .. device.type == DeviceType.CPU ? [new Case("read by vectors", 0, () => Read(large))] : Array.Empty<Case>(),
            ], Rounds);
            gemm = Math.Max(gemm, operations / Math.Min(best[0], best[1]));
            bfloat16 = Math.Max(bfloat16, operations / best[2]);
            bandwidth = Math.Max(bandwidth, Elements * sizeof(float) / best[3..].Min());
        }

        return new Roofline(gemm, bfloat16, bandwidth);
    }

    /// <summary>The higher of both: a machine that others share is not always equally fast.</summary>
    public Roofline Or(Roofline other) =>
        new(Math.Max(Gemm, other.Gemm), Math.Max(GemmBFloat16, other.GemmBFloat16), Math.Max(Bandwidth, other.Bandwidth));

    /// <summary>The least seconds in which a case can be done.</summary>
    public double Bound(Case item) => Math.Max(item.Operations / Gemm, item.Bytes / Bandwidth);

    public override string ToString() => FormattableString.Invariant(
        $"roof: GEMM {Gemm / 1e9:F0} GFLOP/s in float32, {GemmBFloat16 / 1e9:F0} in bfloat16; {Bandwidth / (1 << 30):F1} GiB/s read");

    /// <summary>Reading as a case among others: where memory's speed drifts, what it was in the same rounds says more than the roof.</summary>
    /// <param name="owners">Gets what is read.</param>
    public static Case ReadInTurn(List<IDisposable> owners)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor large = scope.Release(ones([Elements], ScalarType.Float32));
        owners.Add(large);
        return new Case("read 512 MiB", 0, () => Read(large)) { Bytes = Elements * sizeof(float) };
    }

    // Four rows of vectors at a time, each thread its part: as fast as memory is read.
    private static void Read(Tensor tensor)
    {
        int threads = get_num_threads();
        Parallel.For(0, threads, part =>
        {
            ReadOnlySpan<Vector512<float>> numbers = MemoryMarshal.Cast<byte, Vector512<float>>(tensor.bytes);
            numbers = numbers[(int)((long)numbers.Length * part / threads)..(int)((long)numbers.Length * (part + 1) / threads)];
            Vector512<float> a = default, b = default, c = default, d = default;
            for (int i = 0; i + 3 < numbers.Length; i += 4)
            {
                (a, b, c, d) = (Vector512.Max(a, numbers[i]), Vector512.Max(b, numbers[i + 1]), Vector512.Max(c, numbers[i + 2]), Vector512.Max(d, numbers[i + 3]));
            }

            if (Vector512.Sum(Vector512.Max(Vector512.Max(a, b), Vector512.Max(c, d))) != Vector512<float>.Count)
            {
                throw new InvalidOperationException("The ones that were read are not ones.");
            }
        });
    }

    // A number on the host is the proof that a device has finished.
    private static void Wait(Tensor result)
    {
        using Tensor first = result.reshape(-1).narrow(0, 0, 1).to(ScalarType.Float32).cpu();
        result.Dispose();
    }
}
