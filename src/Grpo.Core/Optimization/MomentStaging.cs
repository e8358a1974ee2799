using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// What a piece of 8-bit moments needs to become float32 and 8 bits again: both moments, scratch and constants. With it nothing is allocated
/// while weights change.
/// </summary>
/// <param name="First">[blocks, 256], for the first moment.</param>
/// <param name="Second">The same for the second.</param>
/// <param name="Scratch">The same, without defined values.</param>
/// <param name="Scales">[blocks, 1], without defined values.</param>
/// <param name="Magnitude">Mask of all bits but the sign. [] int32, as the following.</param>
/// <param name="SignAndCode">Mask of what a signed code leaves once it is moved back to its place.</param>
/// <param name="CodeMagnitude">Mask of a code's bits without the sign.</param>
/// <param name="CodeSign">Mask of a code's sign.</param>
/// <param name="Four">The distance from a code's sign to its place in a float.</param>
/// <param name="Twenty">The distance from a code to its place in a float.</param>
/// <param name="TwentyThree">The distance from an exponent to its place in a float.</param>
/// <param name="TwentyFour">The distance from a code's sign to that of a float.</param>
internal sealed record MomentStaging(
    MomentBuffer First, MomentBuffer Second, MomentBuffer Scratch, MomentBuffer Scales,
    Tensor Magnitude, Tensor SignAndCode, Tensor CodeMagnitude, Tensor CodeSign, Tensor Four, Tensor Twenty, Tensor TwentyThree, Tensor TwentyFour)
{
    /// <summary>Makes it for pieces of parameters of at most so many numbers. Owned by the caller's scope.</summary>
    /// <param name="longest">Numbers of the largest parameter.</param>
    /// <param name="device">Where.</param>
    public static MomentStaging Allocate(long longest, Device device)
    {
        long blocks = EightBitBlocks.Count(Math.Min(longest, AdamWMoments.PieceLength));
        return new MomentStaging(
            Buffer(EightBitBlocks.Length), Buffer(EightBitBlocks.Length), Buffer(EightBitBlocks.Length), Buffer(columns: 1),
            Constant(0x7FFFFFFF), Constant(unchecked((int)0x87FFFFFF)), Constant(0x7F), Constant(0x80), Constant(4), Constant(20), Constant(23), Constant(24));

        MomentBuffer Buffer(long columns) => MomentBuffer.Allocate(blocks, columns, device);

        Tensor Constant(int value) => tensor(value, ScalarType.Int32, device);
    }
}
