using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>16 floats, for processors with AVX-512, which have 32 registers.</summary>
internal readonly unsafe struct Floats512(Vector512<float> value) : IFloats<Floats512>
{
    private readonly Vector512<float> _value = value;

    public static int Count => 16;

    public static int TileRows => 4;

    public static Floats512 operator +(Floats512 left, Floats512 right) => new(left._value + right._value);

    public static Floats512 operator -(Floats512 left, Floats512 right) => new(left._value - right._value);

    public static Floats512 operator *(Floats512 left, Floats512 right) => new(left._value * right._value);

    public static Floats512 operator /(Floats512 left, Floats512 right) => new(left._value / right._value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats512 Load(float* source) => new(Vector512.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Floats512 value, float* destination) => value._value.Store(destination);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats512 Create(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats512 MultiplyAdd(Floats512 left, Floats512 right, Floats512 addend) =>
        new(Vector512.FusedMultiplyAdd(left._value, right._value, addend._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats512 Max(Floats512 left, Floats512 right) => new(Vector512.Max(left._value, right._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Floats512 Exp(Floats512 value) => new(Vector512.Exp(value._value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Floats512 value) => Vector512.Sum(value._value);

    public static float Largest(Floats512 value) =>
        Floats256.Largest(new Floats256(Vector256.Max(value._value.GetLower(), value._value.GetUpper())));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<float> Sums(Floats512 first, Floats512 second, Floats512 third, Floats512 fourth) =>
        Floats256.Sums(Halves(first), Halves(second), Halves(third), Halves(fourth));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Floats256 Halves(Floats512 value) => new(value._value.GetLower() + value._value.GetUpper());
}
