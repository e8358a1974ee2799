using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>The measured limits of this machine. Results are given as fractions of them.</summary>
/// <param name="Gemm">The operations per second of the fastest of several large float32 matrix products.</param>
/// <param name="GemmBFloat16">The operations per second of the fastest of several large bfloat16 matrix products.</param>
/// <param name="Bandwidth">The bytes per second that all cores together read from memory.</param>
internal sealed record Roofline(double Gemm, double GemmBFloat16, double Bandwidth)
{
    private const long Elements = 128L << 20; // 512 MiB, larger than any cache
    private const string InBFloat16 = "gemm bf16";

    // A roof is the best that the machine can do, so only the fastest run of a round counts.
    private const int Tries = 3;

    // [rows, width] times [width, columns]: one square product, and two of a model's layers whose results are small
    // enough for reused memory.
    private static readonly (long Rows, long Width, long Columns)[] Products = [(2048, 2048, 2048), (2048, 4864, 896), (1024, 896, 896)];

    /// <summary>
    /// Returns the cases that measure the roof. Time them in the same rounds as the cases that are compared with it, because on a shared
    /// machine the speed of memory and clock drifts within minutes.
    /// </summary>
    /// <param name="device">The device.</param>
    /// <param name="owners">The list that receives the tensors to dispose.</param>
    public static IReadOnlyList<Case> Probes(Device device, List<IDisposable> owners)
    {
        using var scope = TensorScope.BeginNoGrad();
        var probes = new List<Case>();
        foreach ((long rows, long width, long columns) in Products)
        {
            Tensor input = Keep(rand(rows, width, device: device)), weight = Keep(rand(columns, width, device: device));
            Tensor input16 = Keep(input.to(ScalarType.BFloat16)), weight16 = Keep(weight.to(ScalarType.BFloat16));
            double operations = 2.0 * rows * width * columns;
            probes.Add(Probe("gemm", operations, 0, () => Wait(nn.functional.linear(input, weight))));
            probes.Add(Probe("gemm as convolution", operations, 0, () => Wait(FastLinear.Apply(input, weight))));
            probes.Add(Probe(InBFloat16, operations, 0, () => Wait(nn.functional.linear(input16, weight16))));
        }

        Tensor large = Keep(ones([Elements], ScalarType.Float32, device));
        probes.Add(Probe("read", 0, Elements * sizeof(float), () => Wait(large.max())));
        if (device.type == DeviceType.CPU)
        {
            probes.Add(Probe("read by vectors", 0, Elements * sizeof(float), () => Read(large)));
            probes.Add(Probe("read in streams", 0, Elements * sizeof(float), () => ReadInStreams(large)));
        }

        return probes;

        Tensor Keep(Tensor tensor)
        {
            owners.Add(tensor.DetachFromDisposeScope());
            return tensor;
        }

        static Case Probe(string name, double operations, double bytes, Action run) =>
            new(name, 0, run) { Operations = operations, Bytes = bytes, Tries = Tries };
    }

    /// <summary>Computes the roof from the times of <see cref="Probes"/>.</summary>
    public static Roofline FromTimings(IReadOnlyList<Case> probes, IReadOnlyList<Timing> timings)
    {
        (Case Probe, double Seconds)[] timed = [.. probes.Zip(timings, (probe, timing) => (probe, timing.Seconds))];
        return new Roofline(
            timed.Where(entry => entry.Probe.Name != InBFloat16).Max(entry => entry.Probe.Operations / entry.Seconds),
            timed.Where(entry => entry.Probe.Name == InBFloat16).Max(entry => entry.Probe.Operations / entry.Seconds),
            timed.Max(entry => entry.Probe.Bytes / entry.Seconds));
    }

    /// <summary>Returns the least seconds that a case can take.</summary>
    public double Bound(Case item) =>
        Math.Max((item.Operations / Gemm) + (item.OperationsInBFloat16 / GemmBFloat16), item.Bytes / Bandwidth);

    public override string ToString() => FormattableString.Invariant(
        $"roof: GEMM {Gemm / 1e9:F0} GFLOP/s in float32, {GemmBFloat16 / 1e9:F0} in bfloat16; {Bandwidth / (1 << 30):F1} GiB/s read");

    // Each thread reads its part, four vectors at a time, so that memory is the limit.
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
                (a, b, c, d) = (Vector512.Max(a, numbers[i]), Vector512.Max(b, numbers[i + 1]), Vector512.Max(c, numbers[i + 2]),
                    Vector512.Max(d, numbers[i + 3]));
            }

            if (Vector512.Sum(Vector512.Max(Vector512.Max(a, b), Vector512.Max(c, d))) != Vector512<float>.Count)
            {
                throw new InvalidOperationException("The elements that were read are not all 1.");
            }
        });
    }

    // Each thread reads four parts at a time, as decoding reads four rows of a weight. With vectors of 256 bits this is faster.
    private static void ReadInStreams(Tensor tensor)
    {
        int threads = get_num_threads();
        Parallel.For(0, threads, part =>
        {
            ReadOnlySpan<Vector<float>> numbers = MemoryMarshal.Cast<byte, Vector<float>>(tensor.bytes);
            int quarter = numbers.Length / threads / 4;
            numbers = numbers.Slice(4 * quarter * part, 4 * quarter);
            ReadOnlySpan<Vector<float>> first = numbers[..quarter], second = numbers.Slice(quarter, quarter);
            ReadOnlySpan<Vector<float>> third = numbers.Slice(2 * quarter, quarter), fourth = numbers.Slice(3 * quarter, quarter);
            Vector<float> a = default, b = default, c = default, d = default;
            for (int i = 0; i < quarter; i++)
            {
                (a, b, c, d) = (Vector.Max(a, first[i]), Vector.Max(b, second[i]), Vector.Max(c, third[i]), Vector.Max(d, fourth[i]));
            }

            if (Vector.Sum(Vector.Max(Vector.Max(a, b), Vector.Max(c, d))) != Vector<float>.Count)
            {
                throw new InvalidOperationException("The elements that were read are not all 1.");
            }
        });
    }

    // Copying a number to the CPU waits until the device has finished.
    private static void Wait(Tensor result)
    {
        using Tensor first = result.reshape(-1).narrow(0, 0, 1).to(ScalarType.Float32).cpu();
        result.Dispose();
    }
}
