using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using CsCheck;
using Grpo.Models.Qwen.Cpu;

namespace Grpo.Models.Qwen.Tests;

/// <summary>The products of bytes, which every kind of processor computes exactly.</summary>
public sealed unsafe class Int8KernelTests
{
    [Fact]
    public void Multiply_gives_the_exact_sums_for_every_width() =>
        Gen.Select(Gen.Bool, Gen.Int[1, 160].Select(vectors => 32 * vectors), Gen.Int, Gen.Bool).Sample((isSingle, width, seed, isExtreme) =>
        {
            int rows = isSingle ? 1 : 4;
            (sbyte[] x, sbyte[] w) = (Numbers(rows * width, seed, isExtreme), Numbers(4 * width, seed + 1, isExtreme));
            int[] expected = [.. x.Chunk(width).SelectMany(row => w.Chunk(width).Select(column => row.Zip(column, (a, b) => a * b).Sum()))];
            Assert.Equal(expected, Run<Signed128>(x, rows, w));
            if (Avx2.IsSupported)
            {
                Assert.Equal(expected, Run<Signed256>(x, rows, w));
            }

            if (AvxVnni.IsSupported)
            {
                Assert.Equal(expected, Run<Vnni256>(x, rows, w));
            }
        }, iter: 200);

    // Numbers of the largest size give the largest sums of two products, 2 · 127² = 32,258, which must not saturate 16 bits.
    private static sbyte[] Numbers(int count, int seed, bool isExtreme)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (sbyte)(isExtreme ? (random.Next(2) * 254) - 127 : random.Next(-127, 128)))];
    }

    // The unsigned bytes of a processor that wants them stand for numbers that are smaller by its zero.
    private static int[] Run<T>(sbyte[] x, int rows, sbyte[] w)
        where T : unmanaged, IInt8Vector<T>
    {
        int width = w.Length / 4;
        byte[] bytes = [.. x.Select(number => (byte)(number ^ T.Zero))];
        var sums = new Vector128<int>[rows];
        fixed (byte* input = bytes)
        fixed (sbyte* weight = w)
        fixed (Vector128<int>* result = sums)
        {
            Int8Kernel.Multiply<T>(input, rows, weight, weight, width, result);
        }

        return [.. sums.SelectMany(four => Enumerable.Range(0, 4).Select(i => four[i] - (T.Zero * SumOf(i))))];

        int SumOf(int row) => w.Skip(row * width).Take(width).Sum(number => number);
    }
}
