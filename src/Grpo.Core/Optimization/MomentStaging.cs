using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Room for the moments of a piece in float32 while they are updated. With it nothing is allocated while weights change.</summary>
/// <param name="First">[blocks, 256], for the first moment.</param>
/// <param name="Second">The same for the second.</param>
/// <param name="Scratch">The same.</param>
internal readonly record struct MomentStaging(Tensor First, Tensor Second, Tensor Scratch)
{
    /// <summary>Makes room for pieces of parameters of at most so many numbers, zero at first. Owned by the caller's scope.</summary>
    /// <param name="longest">Numbers of the largest parameter.</param>
    /// <param name="device">Where.</param>
    public static MomentStaging Allocate(long longest, Device device)
    {
        long blocks = EightBitBlocks.Count(Math.Min(longest, AdamWMoments.PieceLength(device)));
        return new MomentStaging(Room(), Room(), Room());

        Tensor Room() => zeros([blocks, EightBitBlocks.Length], ScalarType.Float32, device);
    }

    /// <summary>The same for fewer numbers: views, in the caller's scope.</summary>
    /// <param name="length">Numbers.</param>
    public MomentStaging Of(long length)
    {
        long blocks = EightBitBlocks.Count(length);
        return new MomentStaging(First.narrow(0, 0, blocks), Second.narrow(0, 0, blocks), Scratch.narrow(0, 0, blocks));
    }
}
