using CsCheck;
using Grpo.Models.Qwen.Cpu;

namespace Grpo.Models.Qwen.Tests;

/// <summary>The kernel for each width of vectors. All of them run on every processor, the wide ones in parts.</summary>
public sealed unsafe class SkinnyKernelTests
{
    // Widths and rows on both sides of tiles; the sums of 224 products of order 1 round to about 1e-5.
    private static readonly Gen<(int Rows, int Width, int Outputs, int Seed)> Cases =
        Gen.Select(Gen.Int[1, 36], Gen.Int[1, 14].Select(vectors => 16 * vectors), Gen.Int[1, 9].Select(tiles => 4 * tiles), Gen.Int);

    [Fact]
    public void Multiply_equals_the_sums_in_float64_for_every_width() => Cases.Sample(given =>
    {
        (float[] x, float[] w) = Random(given);
        double[] expected = Products(x, w, given.Width);
        foreach (float[] actual in new[] { Run<Floats512>(given, x, w), Run<Floats256>(given, x, w), Run<Floats128>(given, x, w) })
        {
            Assert.Equal(given.Rows * given.Outputs, actual.Length);
            Assert.All(expected.Zip(actual), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 5e-5));
        }
    }, iter: 100);

    [Fact]
    public void Multiply_gives_a_row_the_same_bits_whatever_its_neighbors_for_every_width() => Cases.Sample(given =>
    {
        (float[] x, float[] w) = Random(given);
        AssertAlone<Floats512>(given, x, w);
        AssertAlone<Floats256>(given, x, w);
        AssertAlone<Floats128>(given, x, w);
    }, iter: 100);

    [Fact]
    public void Multiply_writes_only_its_columns()
    {
        (int Rows, int Width, int Outputs, int Seed) given = (4, 16, 12, 1);
        (float[] x, float[] w) = Random(given);
        float[] all = Run<Floats256>(given, x, w), some = Run<Floats256>(given, x, w, from: 4, to: 8);
        for (int i = 0; i < some.Length; i++)
        {
            Assert.Equal(i % 12 is >= 4 and < 8 ? all[i] : float.NaN, some[i]);
        }
    }

    [Fact]
    public void Dot_equals_the_product_of_a_single_row()
    {
        (int Rows, int Width, int Outputs, int Seed) given = (1, 96, 4, 3);
        (float[] x, float[] w) = Random(given);
        fixed (float* input = x, weight = w)
        {
            Assert.Equal(Run<Floats512>(given, x, w)[0], SkinnyKernel.Dot<Floats512>(input, weight, 96));
            Assert.Equal(Run<Floats256>(given, x, w)[0], SkinnyKernel.Dot<Floats256>(input, weight, 96));
            Assert.Equal(Run<Floats128>(given, x, w)[0], SkinnyKernel.Dot<Floats128>(input, weight, 96));
        }
    }

    private static void AssertAlone<T>((int Rows, int Width, int Outputs, int Seed) given, float[] x, float[] w)
        where T : unmanaged, IFloats<T>
    {
        float[] together = Run<T>(given, x, w);
        for (int row = 0; row < given.Rows; row++)
        {
            float[] alone = Run<T>(given with { Rows = 1 }, x[(row * given.Width)..((row + 1) * given.Width)], w);
            Assert.Equal(together[(row * given.Outputs)..((row + 1) * given.Outputs)], alone);
        }
    }

    // The rows that fill up the tiles are zeros, and their results are dropped.
    private static float[] Run<T>((int Rows, int Width, int Outputs, int Seed) given, float[] x, float[] w, int from = 0, int? to = null)
        where T : unmanaged, IFloats<T>
    {
        int padded = SkinnyKernel.Padded(given.Rows);
        float[] full = [.. x, .. new float[(padded - given.Rows) * given.Width]], y = new float[padded * given.Outputs];
        Array.Fill(y, float.NaN);
        fixed (float* input = full, weight = w, output = y)
        {
            SkinnyKernel.Multiply<T>(input, padded, weight, given.Width, from, to ?? given.Outputs, output, given.Outputs);
        }

        return y[..(given.Rows * given.Outputs)];
    }

    private static double[] Products(float[] x, float[] w, int width) =>
        [.. x.Chunk(width).SelectMany(row => w.Chunk(width).Select(column => row.Zip(column, (a, b) => (double)a * b).Sum()))];

    private static (float[] X, float[] W) Random((int Rows, int Width, int Outputs, int Seed) given)
    {
        var random = new Random(given.Seed);
        return ([.. Numbers(given.Rows * given.Width)], [.. Numbers(given.Outputs * given.Width)]);

        IEnumerable<float> Numbers(int count) => Enumerable.Range(0, count).Select(_ => (random.NextSingle() * 4) - 2);
    }
}
