using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>32 bytes for processors with AVX-VNNI. Its instruction wants unsigned bytes x, so 128 represents 0.</summary>
internal readonly unsafe struct Vnni256(Vector256<byte> bytes) : IInt8Vector<Vnni256>
{
    private readonly Vector256<byte> _bytes = bytes;

    public static int Count => 32;

    public static int TileRows => Int8Kernel.HasManyRegisters ? 4 : 2;

    public static byte Zero => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vnni256 Load(void* source) => new(Vector256.Load((byte*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vnni256 MultiplyAdd(Vnni256 sums, Vnni256 x, Vnni256 w) =>
        new(AvxVnni.MultiplyWideningAndAdd(sums._bytes.AsInt32(), x._bytes, w._bytes.AsSByte()).AsByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Sums(Vnni256 first, Vnni256 second, Vnni256 third, Vnni256 fourth) =>
        Signed256.Sums(new(first._bytes), new(second._bytes), new(third._bytes), new(fourth._bytes));
}

/// <summary>32 bytes for processors with AVX2.</summary>
/// <remarks>
/// The instruction wants unsigned bytes times signed ones, so x·w = |x|·(sign(x)·w). Its sums of two products stay within 16 bits, because
/// both factors are within ±127.
/// </remarks>
internal readonly unsafe struct Signed256(Vector256<byte> bytes) : IInt8Vector<Signed256>
{
    private readonly Vector256<byte> _bytes = bytes;

    public static int Count => 32;

    public static int TileRows => Int8Kernel.HasManyRegisters ? 4 : 2;

    public static byte Zero => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Signed256 Load(void* source) => new(Vector256.Load((byte*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Signed256 MultiplyAdd(Signed256 sums, Signed256 x, Signed256 w)
    {
        Vector256<sbyte> signed = x._bytes.AsSByte();
        Vector256<short> pairs = Avx2.MultiplyAddAdjacent(Avx2.Abs(signed), Avx2.Sign(w._bytes.AsSByte(), signed));
        return new((sums._bytes.AsInt32() + Avx2.MultiplyAddAdjacent(pairs, Vector256<short>.One)).AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Sums(Signed256 first, Signed256 second, Signed256 third, Signed256 fourth)
    {
        Vector256<int> pairs = Avx2.HorizontalAdd(
            Avx2.HorizontalAdd(first._bytes.AsInt32(), second._bytes.AsInt32()),
            Avx2.HorizontalAdd(third._bytes.AsInt32(), fourth._bytes.AsInt32()));
        return pairs.GetLower() + pairs.GetUpper();
    }
}

/// <summary>16 bytes for ARM64 and for older x86-64 processors, with their instructions for it where they exist.</summary>
internal readonly unsafe struct Signed128(Vector128<byte> bytes) : IInt8Vector<Signed128>
{
    private readonly Vector128<byte> _bytes = bytes;

    public static int Count => 16;

    public static int TileRows => Int8Kernel.HasManyRegisters ? 4 : 2;

    public static byte Zero => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Signed128 Load(void* source) => new(Vector128.Load((byte*)source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Signed128 MultiplyAdd(Signed128 sums, Signed128 x, Signed128 w)
    {
        (Vector128<int> sum, Vector128<sbyte> left, Vector128<sbyte> right) = (sums._bytes.AsInt32(), x._bytes.AsSByte(), w._bytes.AsSByte());
        if (Dp.IsSupported)
        {
            return new(Dp.DotProduct(sum, left, right).AsByte());
        }

        if (Ssse3.IsSupported)
        {
            Vector128<short> pairs = Ssse3.MultiplyAddAdjacent(Ssse3.Abs(left), Ssse3.Sign(right, left));
            return new((sum + Sse2.MultiplyAddAdjacent(pairs, Vector128<short>.One)).AsByte());
        }

        Vector128<short> low = Vector128.WidenLower(left) * Vector128.WidenLower(right);
        Vector128<short> high = Vector128.WidenUpper(left) * Vector128.WidenUpper(right);
        return new((sum + Vector128.WidenLower(low) + Vector128.WidenUpper(low) + Vector128.WidenLower(high) + Vector128.WidenUpper(high))
            .AsByte());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<int> Sums(Signed128 first, Signed128 second, Signed128 third, Signed128 fourth) => Vector128.Create(
        Vector128.Sum(first._bytes.AsInt32()), Vector128.Sum(second._bytes.AsInt32()),
        Vector128.Sum(third._bytes.AsInt32()), Vector128.Sum(fourth._bytes.AsInt32()));
}
