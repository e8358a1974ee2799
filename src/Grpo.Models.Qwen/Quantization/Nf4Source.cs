using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Grpo.Models.Qwen.Cpu;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Quantization;

/// <summary>A weight in 4 bits in main memory, of which blocks are converted to float32 by the widest vectors of the processor.</summary>
/// <remarks>Every number is one float32 product of a level and a scale, so all vector widths give the same bits.</remarks>
internal readonly unsafe struct Nf4Source
{
    // The two levels of each byte: 2 KiB, which stay in the cache.
    private static readonly float* Pairs = CreatePairs();

    private readonly float* _floats;
    private readonly byte* _scales;
    private readonly byte* _codes;

    /// <param name="data">The weight, on the CPU. Borrowed for the lifetime of this value.</param>
    internal Nf4Source(Nf4Data data)
    {
        _floats = CpuMemory.Address(data.Floats);
        _scales = CpuMemory.Bytes(data.Bytes);
        _codes = _scales + data.Layout.Blocks;
    }

    /// <summary>Converts blocks to float32.</summary>
    /// <param name="from">The first block.</param>
    /// <param name="to">The end of the blocks, exclusive.</param>
    /// <param name="values">The result, 64 numbers for each block.</param>
    internal void Dequantize(long from, long to, float* values)
    {
        if (Avx512F.IsSupported)
        {
            DequantizeBy512Bits(from, to, values);
        }
        else if (Avx2.IsSupported)
        {
            DequantizeBy256Bits(from, to, values);
        }
        else
        {
            DequantizeByTable(from, to, values);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DequantizeBy512Bits(long from, long to, float* values)
    {
        Vector512<float> levels = Vector512.Create(Nf4Codes.Levels);
        for (long block = from; block < to; block++, values += Nf4Layout.BlockLength)
        {
            Vector512<float> scale = Vector512.Create(Scale(block));
            byte* codes = _codes + (block * Nf4Layout.BlockBytes);
            for (int i = 0; i < Nf4Layout.BlockBytes; i += 8)
            {
                Vector512<int> indices = Avx512F.ConvertToVector512Int32(Codes(codes + i));
                (Avx512F.PermuteVar16x32(levels, indices) * scale).Store(values + (2 * i));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DequantizeBy256Bits(long from, long to, float* values)
    {
        Vector256<float> low = Vector256.Create(Nf4Codes.Levels[..8]), high = Vector256.Create(Nf4Codes.Levels[8..]);
        for (long block = from; block < to; block++, values += Nf4Layout.BlockLength)
        {
            Vector256<float> scale = Vector256.Create(Scale(block));
            byte* codes = _codes + (block * Nf4Layout.BlockBytes);
            for (int i = 0; i < Nf4Layout.BlockBytes; i += 8)
            {
                Vector128<byte> indices = Codes(codes + i);
                (Look(Avx2.ConvertToVector256Int32(indices)) * scale).Store(values + (2 * i));
                (Look(Avx2.ConvertToVector256Int32(Vector128.Create(indices.GetUpper(), default))) * scale).Store(values + (2 * i) + 8);
            }
        }

        // The permutation reads the low 3 bits of an index. Bit 3, moved to the sign, chooses the half.
        Vector256<float> Look(Vector256<int> indices) => Avx.BlendVariable(
            Avx2.PermuteVar8x32(low, indices), Avx2.PermuteVar8x32(high, indices), (indices << 28).AsSingle());
    }

    internal void DequantizeByTable(long from, long to, float* values)
    {
        for (long block = from; block < to; block++)
        {
            float scale = Scale(block);
            byte* codes = _codes + (block * Nf4Layout.BlockBytes);
            for (int i = 0; i < Nf4Layout.BlockBytes; i++, values += 2)
            {
                float* pair = Pairs + (2 * codes[i]);
                values[0] = pair[0] * scale;
                values[1] = pair[1] * scale;
            }
        }
    }

    private float Scale(long block)
    {
        float scaled = ScaleCodes.Values[_scales[block]] * _floats[1 + (block / Nf4Layout.GroupLength)];
        return scaled + _floats[0];
    }

    // The 16 codes of 8 bytes, the high half of each byte first.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Codes(byte* bytes)
    {
        Vector128<byte> packed = Vector128.CreateScalarUnsafe(*(ulong*)bytes).AsByte(), half = Vector128.Create((byte)15);
        return Sse2.UnpackLow((packed.AsUInt16() >> 4).AsByte() & half, packed & half);
    }

    private static float* CreatePairs()
    {
        ReadOnlySpan<float> levels = Nf4Codes.LevelsOfBytes;
        float* pairs = (float*)NativeMemory.Alloc((nuint)levels.Length, sizeof(float)); // for the life of the process
        levels.CopyTo(new Span<float>(pairs, levels.Length));
        return pairs;
    }
}
