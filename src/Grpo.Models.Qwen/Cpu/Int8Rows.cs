using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Rows of numbers rounded to bytes with one scale each, x ≈ scale · (byte − <see cref="Int8Kernel.Zero"/>): the input of a product with an <see cref="Int8Weight"/>.
/// </summary>
internal sealed unsafe class Int8Rows : IDisposable
{
    private byte* _bytes;
    private float* _scales;

    /// <param name="rows">The number of rows to allocate.</param>
    /// <param name="width">The width of the widest row.</param>
    internal Int8Rows(int rows, int width)
    {
        _bytes = (byte*)NativeMemory.AlignedAlloc((nuint)rows * (nuint)width, (nuint)Vector512<byte>.Count);
        _scales = (float*)NativeMemory.Alloc((nuint)rows, sizeof(float));
    }

    ~Int8Rows() => Free();

    /// <summary>Returns the bytes of a row.</summary>
    internal byte* Row(int row, int width) => _bytes + ((long)row * width);

    /// <summary>Returns the scale of a row.</summary>
    internal float Scale(int row) => _scales[row];

    /// <summary>Rounds rows and keeps them until the next call.</summary>
    /// <param name="values">The rows, [rows, width] float32.</param>
    /// <param name="rows">The number of rows; further ones, up to a full tile, become zeros.</param>
    /// <param name="width">The width of a row, a multiple of 32.</param>
    internal void Round(float* values, int rows, int width)
    {
        for (int row = 0; row < rows; row++)
        {
            _scales[row] = Int8Rounding.Round(
                new ReadOnlySpan<float>(values + ((long)row * width), width), Int8Kernel.Zero, new Span<byte>(Row(row, width), width));
        }

        for (int row = rows; row < SkinnyKernel.Padded(rows); row++)
        {
            new Span<byte>(Row(row, width), width).Fill(Int8Kernel.Zero);
            _scales[row] = 0;
        }
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_bytes); // does nothing for null
        NativeMemory.Free(_scales);
        _bytes = null;
        _scales = null;
    }
}
