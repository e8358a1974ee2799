using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Quantization;

/// <summary>The layout of a weight in 4 bits (<see cref="Nf4Data"/>).</summary>
/// <remarks>
/// A block is 64 numbers of the weight in row-major order. The last block is filled up with zeros. The bytes hold the scale of each block
/// (8 bits, <see cref="ScaleCodes"/>), then the codes of the numbers, two to a byte and the first of them in the high half
/// (<see cref="Nf4Codes"/>). The floats are the mean of the blocks' scales, then a scale for each group of 256 blocks. A number is
/// level · (scale value · group scale + mean), each operation rounded to float32.
/// </remarks>
/// <param name="Outputs">The number of rows.</param>
/// <param name="Inputs">The number of columns.</param>
internal readonly record struct Nf4Layout(long Outputs, long Inputs)
{
    /// <summary>The number of weights that share a scale.</summary>
    internal const int BlockLength = 64;

    /// <summary>The number of blocks that share the scale of their scales.</summary>
    internal const int GroupLength = 256;

    /// <summary>The bytes of a block's codes.</summary>
    internal const int BlockBytes = BlockLength / 2;

    /// <summary>The number of weights.</summary>
    internal long Numbers => Outputs * Inputs;

    /// <summary>The number of blocks.</summary>
    internal long Blocks => Parts(Numbers, BlockLength);

    /// <summary>The number of groups.</summary>
    internal long Groups => Parts(Blocks, GroupLength);

    /// <summary>The number of floats: the mean and the groups' scales.</summary>
    internal long Floats => 1 + Groups;

    /// <summary>The number of bytes: the blocks' scales and the codes.</summary>
    internal long Bytes => Blocks * (1 + BlockBytes);

    /// <summary>The size of bytes and floats: about 4.13 bits per number.</summary>
    internal long Size => Bytes + (Floats * sizeof(float));

    private static long Parts(long count, int size) => (count + size - 1) / size;
}

/// <summary>A weight in 4 bits: two tensors on one device, and how to read them.</summary>
/// <param name="Bytes">The blocks' scales and the codes, [bytes] uint8.</param>
/// <param name="Floats">The mean of the blocks' scales and the groups' scales, [floats] float32.</param>
/// <param name="Layout">The layout of the bytes.</param>
internal readonly record struct Nf4Data(Tensor Bytes, Tensor Floats, Nf4Layout Layout);
