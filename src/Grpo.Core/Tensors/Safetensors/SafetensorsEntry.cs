using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>The description of one tensor in the header of a safetensors file.</summary>
/// <param name="Name">The name of the tensor, unique in the file.</param>
/// <param name="DType">The stored element type.</param>
/// <param name="Shape">The sizes of the axes, each 0 or more. Empty for a scalar.</param>
/// <param name="Begin">The offset of the first byte, counted from the end of the header.</param>
/// <param name="Length">The size in bytes: the product of <paramref name="Shape"/> times the size of one element.</param>
public sealed record SafetensorsEntry(string Name, ScalarType DType, IReadOnlyList<long> Shape, long Begin, long Length);
