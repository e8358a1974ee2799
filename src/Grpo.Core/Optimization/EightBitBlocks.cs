using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// Numbers in 8 bits, 256 of them beside the largest magnitude among them. Codes are an eighth of an octave apart: a number is the largest
/// times 2^((code − top)/8), so the nearest code is at most 4.5 % off for numbers of every size. Signed codes reach down to 2⁻¹⁵ of the
/// largest, and to 0; unsigned ones to 2⁻³¹.
/// </summary>
/// <remarks>
/// Blocks as in Dettmers et al., arXiv:2110.02861. Two things differ, for the second moment's sake. In place of their dynamic tree, whose
/// steps widen toward small numbers, the steps are even in the logarithm. And rounding is not to the nearest: the moment changes by a
/// thousandth a step, so that the nearest code would be the old one for ever, and no number would decay. Each is rounded up or down by a
/// threshold that goes through all values evenly from step to step (multiples of √2 modulo 1, another phase for each place in a block), so
/// that the mean code over steps is right and averages decay at their own pace. Nothing is drawn: the same step has the same thresholds.
/// </remarks>
internal sealed class EightBitBlocks
{
    /// <summary>Numbers of a block.</summary>
    public const int Length = 256;

    private const double PerOctave = 8;
    private const double SmallestScale = 1e-37;        // in place of 0, which cannot be divided by
    private static readonly long[] WithinBlock = [1];

    private readonly bool _isSigned;
    private readonly int _top;                         // the code of the largest magnitude

    private EightBitBlocks(bool isSigned, int top) => (_isSigned, _top) = (isSigned, top);

    /// <summary>For numbers of either sign; 0 is exact.</summary>
    public static EightBitBlocks Signed { get; } = new(isSigned: true, sbyte.MaxValue);

    /// <summary>
    /// For numbers from 0 on. What is smaller than the smallest code is rounded up to it, so that a number which will be divided
    /// by is not 0.
    /// </summary>
    public static EightBitBlocks Unsigned { get; } = new(isSigned: false, byte.MaxValue);

    /// <summary>The type of the codes.</summary>
    public ScalarType CodeType => _isSigned ? ScalarType.Int8 : ScalarType.Byte;

    /// <summary>Blocks of so many numbers, the last one padded.</summary>
    public static long Count(long numbers) => (numbers + Length - 1) / Length;

    /// <summary>
    /// Thresholds of a step, from 0 to 1: a code is rounded down after one was added. From one step to the next they go
    /// through all values evenly.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="phase">Tells apart what should not be rounded alike, 0 to 1.</param>
    /// <param name="device">Where.</param>
    /// <returns>[256] float32. Owned by the caller's scope.</returns>
    public static Tensor Thresholds(long step, double phase, Device device)
    {
        var thresholds = new float[Length];
        for (int i = 0; i < thresholds.Length; i++)
        {
            double position = (i * 0.6180339887498949) + (step * 0.4142135623730951) + phase;      // golden ratio and √2, modulo 1
            thresholds[i] = (float)(position - Math.Floor(position));
        }

        return tensor(thresholds, device: device);
    }

    /// <summary>The thresholds that round to the nearest code.</summary>
    /// <returns>[256] float32. Owned by the caller's scope.</returns>
    public static Tensor Halves(Device device) => tensor(Enumerable.Repeat(0.5f, Length).ToArray(), device: device);

    /// <summary>Memory for numbers, which are 0. Owned by the caller's scope.</summary>
    public EightBitTensor Zeros(long numbers, Device device) =>
        new(zeros([Count(numbers), Length], CodeType, device), zeros([Count(numbers), 1], ScalarType.Float32, device));

    /// <summary>Rounds numbers. Allocates nothing.</summary>
    /// <param name="values">[n, 256] float32, finite; destroyed.</param>
    /// <param name="stored">Of n blocks; written.</param>
    /// <param name="thresholds">[256] float32.</param>
    /// <param name="scratch">As <paramref name="values"/>; destroyed.</param>
    public void Encode(Tensor values, EightBitTensor stored, Tensor thresholds, Tensor scratch)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor magnitudes = _isSigned ? scratch.copy_(values).abs_() : values;
        magnitudes.amax(WithinBlock, true, stored.Scales);                                       // [n, 1]
        stored.Scales.clamp_min_(SmallestScale);

        // The code of 0 is −∞ until it is clamped.
        magnitudes.div_(stored.Scales).log2_().mul_(PerOctave).add_(_top).add_(thresholds).floor_().clamp_(_isSigned ? 0 : 1, _top);
        stored.Codes.copy_(_isSigned ? magnitudes.mul_(values.sign_()) : magnitudes);
    }

    /// <summary>The numbers that codes stand for. Allocates nothing.</summary>
    /// <param name="stored">Of n blocks.</param>
    /// <param name="values">[n, 256] float32; written.</param>
    /// <param name="scratch">As <paramref name="values"/>; destroyed.</param>
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
