using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>8 floats, for processors with AVX2, which have 16 registers.</summary>
internal readonly unsafe struct Floats256(Vector256<float> value) : IFloats<Floats256>
{
    private readonly Vector256<float> _value = value;

    public static int Count => 8;

    public static int TileRows => 3;

    public static Floats256 operator +(Floats256 left, Floats256 right) => new(left._value + right._value);

    public static Floats256 operator -(Floats256 left, Floats256 right) => new(left._value - right._value);

    public static Floats256 operator *(Floats256 left, Floats256 right) => new(left._value * right._value);

    public static Floats256 operator /(Floats256 left, Floats256 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats256 Load(float* source) => new(Vector256.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats256 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats256 Create(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats256 MultiplyAdd(Floats256 left, Floats256 right, Floats256 addend) =>
        new(Vector256.FusedMultiplyAdd(left._value, right._value, addend._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats256 Max(Floats256 left, Floats256 right) => new(Vector256.Max(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats256 Exp(Floats256 value) => new(Vector256.Exp(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats256 value) => Vector256.Sum(value._value);

    public static float Largest(Floats256 value)
    {
        float most = value._value[0];
        for (int i = 1; i < Count; i++)
        {
            most = MathF.Max(most, value._value[i]);
        }

        return most;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Floats256 first, Floats256 second, Floats256 third, Floats256 fourth)
    {
        Vector256<float> pairs = Avx.HorizontalAdd(
            Avx.HorizontalAdd(first._value, second._value), Avx.HorizontalAdd(third._value, fourth._value));
        return pairs.GetLower() + pairs.GetUpper();
    }
}
