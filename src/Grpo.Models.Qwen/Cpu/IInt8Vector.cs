using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>A vector of bytes, or of as many bits of 32-bit sums, for the products of <see cref="Int8Kernel"/>.</summary>
/// <typeparam name="T">The vector itself.</typeparam>
internal unsafe interface IInt8Vector<T>
    where T : unmanaged, IInt8Vector<T>
{
    /// <summary>The number of bytes in a vector: 32 or 16.</summary>
    static abstract int Count { get; }

    /// <summary>The rows of x in a tile with four rows of w: as many as have their sums in registers, 4 or 2.</summary>
    static abstract int TileRows { get; }

    /// <summary>The byte of x that represents 0.</summary>
    static abstract byte Zero { get; }

    static abstract T Load(void* source);

    /// <summary>Adds the products of four neighboring bytes of x and w to each 32-bit sum.</summary>
    static abstract T MultiplyAdd(T sums, T x, T w);

    /// <summary>Returns the sum over the 32-bit sums of each of four vectors.</summary>
    static abstract Vector128<int> Sums(T first, T second, T third, T fourth);
}
