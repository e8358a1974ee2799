using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Numbers in 8 bits, as <see cref="EightBitBlocks"/> makes them.</summary>
/// <param name="Codes">[blocks, 256] int8 or uint8; the last block is padded.</param>
/// <param name="Scales">[blocks, 1] float32: the largest magnitude of each block.</param>
internal readonly record struct EightBitTensor(Tensor Codes, Tensor Scales)
{
    /// <summary>A view of some blocks, in the caller's scope.</summary>
    /// <param name="start">The first number, at the beginning of a block.</param>
    /// <param name="length">Numbers.</param>
    public EightBitTensor Of(long start, long length)
    {
        (long block, long blocks) = (start / EightBitBlocks.Length, EightBitBlocks.Count(length));
        return new EightBitTensor(Codes.narrow(0, block, blocks), Scales.narrow(0, block, blocks));
    }
}
