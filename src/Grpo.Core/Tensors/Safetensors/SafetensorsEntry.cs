using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>One tensor as the header of a safetensors file describes it.</summary>
/// <param name="Name">Its name, unique in the file.</param>
/// <param name="DType">The stored element type.</param>
/// <param name="Shape">The sizes, each 0 or more; empty for a scalar.</param>
/// <param name="Begin">Offset of its first byte, counted from the end of the header.</param>
/// <param name="Length">Its size in bytes: the product of <paramref name="Shape"/> times the size of one element.</param>
public sealed record SafetensorsEntry(string Name, ScalarType DType, IReadOnlyList<long> Shape, long Begin, long Length);
