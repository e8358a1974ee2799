using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// A vector of float32 numbers of one width. The kernels are written once, over this interface, and compiled for each width.
/// </summary>
/// <typeparam name="T">The vector itself.</typeparam>
internal unsafe interface IFloats<T>
    where T : unmanaged, IFloats<T>
{
    /// <summary>The number of floats in a vector: 16, 8 or 4.</summary>
    static abstract int Count { get; }

    /// <summary>The rows of x in a tile with four rows of W: as many as have sums, rows of W and a row of x in registers.</summary>
    static abstract int TileRows { get; }

    static abstract T operator +(T left, T right);

    static abstract T operator -(T left, T right);

    static abstract T operator *(T left, T right);

    static abstract T operator /(T left, T right);

    static abstract T Load(float* source);

    static abstract void Store(T value, float* destination);

    /// <summary>Returns a vector that holds one number in all places.</summary>
    static abstract T Create(float value);

    /// <summary>Computes left · right + addend, rounded once where the processor can.</summary>
    static abstract T MultiplyAdd(T left, T right, T addend);

    static abstract T Max(T left, T right);

    static abstract T Exp(T value);

    static abstract float Sum(T value);

    /// <summary>Returns the largest number of a vector.</summary>
    static abstract float Largest(T value);

    /// <summary>Returns the sum of each of four vectors.</summary>
    static abstract Vector128<float> Sums(T first, T second, T third, T fourth);
}
