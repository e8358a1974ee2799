using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>The conversion of numbers to logarithmic 8-bit codes, in blocks of 256 with a float32 scale each, and back.</summary>
/// <remarks>
/// <para>
/// The scale of a block is its largest magnitude. A number is scale · 2^((code − top)/8): codes are an eighth of an octave apart, so
/// the nearest code is at most 4.5 % off for numbers of every size. Signed codes reach down to 2⁻¹⁵ of the scale, and 0. Unsigned
/// codes reach down to 2⁻³¹.
/// </para>
/// <para>
/// Blocks are as in Dettmers et al., arXiv:2110.02861. Two things differ, because of the second moment. First, the codes are evenly spaced
/// in the logarithm; the paper's dynamic tree has wider steps for small numbers. Second, rounding is not to the nearest code. A moment
/// changes by about a thousandth per step, so the nearest code would never change and no number would ever decay.
/// </para>
/// <para>
/// Instead each number is rounded up or down by a threshold. From step to step the thresholds cover all values evenly: they are multiples
/// of √2 modulo 1, with another phase for each index in a block. So the mean code over the steps is right, and moments decay at their own
/// pace. Nothing is random: equal steps have equal thresholds.
/// </para>
/// </remarks>
internal sealed class EightBitBlocks
{
    /// <summary>The number of values in a block.</summary>
    public const int Length = 256;

    private const double PerOctave = 8;
    private const double SmallestScale = 1e-37;        // instead of 0, to avoid a division by 0
    private static readonly long[] WithinBlock = [1];

    private readonly bool _isSigned;
    private readonly int _top;                         // the code of the largest magnitude

    private EightBitBlocks(bool isSigned, int top) => (_isSigned, _top) = (isSigned, top);

    /// <summary>The codes for numbers of either sign. 0 is exact.</summary>
    public static EightBitBlocks Signed { get; } = new(isSigned: true, sbyte.MaxValue);

    /// <summary>
    /// The codes for numbers of 0 or more. A number below the smallest code is rounded up to it, so that no divisor becomes 0.
    /// </summary>
    public static EightBitBlocks Unsigned { get; } = new(isSigned: false, byte.MaxValue);

    /// <summary>The dtype of the codes.</summary>
    public ScalarType CodeType => _isSigned ? ScalarType.Int8 : ScalarType.Byte;

    /// <summary>Computes the number of blocks for a number of values. The last block is padded.</summary>
    public static long Count(long numbers) => (numbers + Length - 1) / Length;

    /// <summary>
    /// Computes the rounding thresholds of a step, from 0 to 1. A code is rounded down after its threshold is added.
    /// </summary>
    /// <param name="step">The number of the optimizer step.</param>
    /// <param name="phase">The offset, 0 to 1, which makes two moments round differently.</param>
    /// <param name="device">The device of the result.</param>
    /// <returns>The thresholds, [256] float32. Owned by the caller's scope.</returns>
    public static Tensor Thresholds(long step, double phase, Device device)
    {
        var thresholds = new float[Length];
        for (int i = 0; i < thresholds.Length; i++)
        {
            double position = (i * 0.6180339887498949) + (step * 0.4142135623730951) + phase;      // golden ratio and √2, modulo 1
            thresholds[i] = (float)(position - Math.Floor(position));
        }

        return DeviceTransfer.ToDevice(thresholds, device);
    }

    /// <summary>Returns the thresholds that round to the nearest code.</summary>
    /// <returns>The thresholds, [256] float32. Owned by the caller's scope.</returns>
    public static Tensor Halves(Device device) => DeviceTransfer.ToDevice([.. Enumerable.Repeat(0.5f, Length)], device);

    /// <summary>Allocates blocks of zeros. They are owned by the caller's scope.</summary>
    public EightBitTensor Zeros(long numbers, Device device) =>
        new(zeros([Count(numbers), Length], CodeType, device), zeros([Count(numbers), 1], ScalarType.Float32, device));

    /// <summary>Rounds numbers to codes, without allocating memory.</summary>
    /// <param name="values">The finite numbers, [n, 256] float32; overwritten.</param>
    /// <param name="stored">The n blocks to write.</param>
    /// <param name="thresholds">The rounding thresholds, [256] float32.</param>
    /// <param name="scratch">The scratch buffer, [n, 256] float32; overwritten.</param>
    public void Encode(Tensor values, EightBitTensor stored, Tensor thresholds, Tensor scratch)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor magnitudes = _isSigned ? scratch.copy_(values).abs_() : values;
        magnitudes.amax(WithinBlock, true, stored.Scales);                                       // [n, 1]
        stored.Scales.clamp_min_(SmallestScale);

        // The logarithm of 0 is −∞, which the clamp turns into the smallest code.
        magnitudes.div_(stored.Scales).log2_().mul_(PerOctave).add_(_top).add_(thresholds).floor_().clamp_(_isSigned ? 0 : 1, _top);
        stored.Codes.copy_(_isSigned ? magnitudes.mul_(values.sign_()) : magnitudes);
    }

    /// <summary>Converts codes to numbers, without allocating memory.</summary>
    /// <param name="stored">The n blocks to read.</param>
    /// <param name="values">The numbers to write, [n, 256] float32.</param>
    /// <param name="scratch">The scratch buffer, [n, 256] float32; overwritten.</param>
    public void Decode(EightBitTensor stored, Tensor values, Tensor scratch)
    {
        using var scope = TensorScope.BeginNoGrad();
        values.copy_(stored.Codes);
        Tensor magnitudes = _isSigned ? scratch.copy_(values).abs_() : values;
        magnitudes.sub_(_top).div_(PerOctave).exp2_().mul_(stored.Scales);
        if (_isSigned)
        {
            values.sign_().mul_(magnitudes);                                                     // the sign of code 0 is 0
        }
    }
}

/// <summary>The codes and scales of numbers in 8 bits (<see cref="EightBitBlocks"/>).</summary>
/// <param name="Codes">The codes, [blocks, 256] int8 or uint8. The last block is padded.</param>
/// <param name="Scales">The largest magnitude of each block, [blocks, 1] float32.</param>
internal readonly record struct EightBitTensor(Tensor Codes, Tensor Scales)
{
    /// <summary>Returns a view of some blocks, in the caller's scope.</summary>
    /// <param name="start">The index of the first number, a multiple of 256.</param>
    /// <param name="length">The number of values.</param>
    public EightBitTensor Slice(long start, long length)
    {
        (long block, long blocks) = (start / EightBitBlocks.Length, EightBitBlocks.Count(length));
        return new EightBitTensor(Codes.narrow(0, block, blocks), Scales.narrow(0, block, blocks));
    }
}
