using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// Numbers in 8 bits: floats of 3 bits of mantissa, and an exponent that the 256 numbers of a block share. Signed ones have 4 bits of exponent
/// (steps of 6 to 12 % down to 2⁻¹⁴ of the block's largest, even steps of 2⁻¹⁷ below), unsigned ones 5 (down to 2⁻³⁰).
/// </summary>
/// <remarks>
/// Blocks as in Dettmers et al., arXiv:2110.02861. In place of their dynamic tree, whose steps widen towards small numbers, the codes are floats, as in
/// FP8-LM, arXiv:2310.18313: the relative error is the same for numbers of every size. And rounding is not to the nearest: the second moment
/// changes by a thousandth a step, so that the nearest code would be the old one for ever, and no number would decay. Each is rounded up or down
/// by a threshold that goes through all values evenly from step to step (multiples of √2 modulo 1, another phase for each place in a block), so
/// that the mean over steps is the number. Nothing is drawn: the same step has the same thresholds.
/// All arithmetic is exact (powers of two, integers), thus equal on every device.
/// </remarks>
internal sealed class EightBitBlocks
{
    /// <summary>Numbers of a block.</summary>
    public const int Length = 256;

    private const int RoundedBits = 20;                // of float32's 23 bits of mantissa
    private const int LargestExponent = 252;           // 253 is left for what is rounded up, 254 − e stays above 0
    private static readonly long[] WithinBlock = [1];

    private readonly bool _isSigned;
    private readonly float _toCodes;                   // brings numbers below 2 to the smallest exponents that a float has
    private readonly float _fromCodes;

    private EightBitBlocks(bool isSigned)
    {
        _isSigned = isSigned;
        int top = isSigned ? 15 : 31;                  // the code's largest exponent
        _toCodes = MathF.ScaleB(1, top - 127);
        _fromCodes = MathF.ScaleB(1, 127 - top);
    }

    /// <summary>For numbers of either sign; 0 is exact.</summary>
    public static EightBitBlocks Signed { get; } = new(isSigned: true);

    /// <summary>
    /// For numbers from 0 on. In a block that is not all 0 the smallest code is 2⁻³³ of the largest number, and no number becomes 0: it will be divided
    /// by.
    /// </summary>
    public static EightBitBlocks Unsigned { get; } = new(isSigned: false);

    /// <summary>Blocks of so many numbers, the last one padded.</summary>
    public static long Count(long numbers) => (numbers + Length - 1) / Length;

    /// <summary>Makes memory for numbers, which are 0. Owned by the caller's scope.</summary>
    public static EightBitTensor Zeros(long numbers, Device device) =>
        new(zeros([Count(numbers), Length], ScalarType.Byte, device), zeros([Count(numbers), 1], ScalarType.Byte, device));

    /// <summary>The thresholds of a step: below 2²⁰, what is added before the bits that do not fit are cut off.</summary>
    /// <param name="step">The step; from one to the next they go through all values.</param>
    /// <param name="phase">Tells apart what should not be rounded alike, 0 to 1.</param>
    /// <param name="device">Where.</param>
    /// <returns>[256] int32. Owned by the caller's scope.</returns>
    public static Tensor Thresholds(long step, double phase, Device device)
    {
        var thresholds = new int[Length];
        for (int i = 0; i < thresholds.Length; i++)
        {
            double position = (i * 0.6180339887498949) + (step * 0.4142135623730951) + phase;      // golden ratio and √2, modulo 1
            thresholds[i] = (int)((position - Math.Floor(position)) * (1 << RoundedBits));
        }

        return tensor(thresholds, device: device);
    }

    /// <summary>Half of what does not fit, everywhere: rounds to the nearest code.</summary>
    /// <returns>[256] int32. Owned by the caller's scope.</returns>
    public static Tensor Halves(Device device) => full([Length], 1 << (RoundedBits - 1), ScalarType.Int32, device);

    /// <summary>Rounds numbers. Allocates nothing.</summary>
    /// <param name="values">[n, 256], finite; destroyed.</param>
    /// <param name="stored">Of n blocks; written.</param>
    /// <param name="thresholds">[256] int32.</param>
    /// <param name="staging">For n blocks or more.</param>
    public void Encode(MomentBuffer values, EightBitTensor stored, Tensor thresholds, MomentStaging staging)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor floats, Tensor bits) = values;
        MomentBuffer scratch = staging.Scratch.Rows(floats.shape[0]), scales = staging.Scales.Rows(floats.shape[0]);
        scratch.Bits.copy_(bits).bitwise_and_(staging.Magnitude);
        scratch.Floats.amax(WithinBlock, true, scales.Floats);                                   // [n, 1]

        // The exponent of the largest, or the next where that could be rounded up to a power of two.
        scales.Bits.add_(1 << RoundedBits).bitwise_right_shift_(staging.TwentyThree).clamp_(1, LargestExponent);
        stored.Exponents.copy_(scales.Bits);
        scales.Bits.neg_().add_(254).bitwise_left_shift_(staging.TwentyThree);                   // 2^(127 − e) as a float
        floats.mul_(scales.Floats).mul_(_toCodes);

        // What is a float's exponent and mantissa is now a code in bits 20 and up, with gradual underflow as floats have it.
        if (_isSigned)
        {
            scratch.Bits.copy_(bits).bitwise_right_shift_(staging.TwentyFour).bitwise_and_(staging.CodeSign);
            bits.add_(thresholds).bitwise_right_shift_(staging.Twenty).bitwise_and_(staging.CodeMagnitude).bitwise_or_(scratch.Bits);
        }
        else
        {
            bits.add_(thresholds).bitwise_right_shift_(staging.Twenty).clamp_min_(1);
        }

        stored.Codes.copy_(bits);
    }

    /// <summary>The numbers that codes stand for. Allocates nothing.</summary>
    /// <param name="stored">Of n blocks.</param>
    /// <param name="values">[n, 256]; written.</param>
    /// <param name="staging">For n blocks or more.</param>
    public void Decode(EightBitTensor stored, MomentBuffer values, MomentStaging staging)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor floats, Tensor bits) = values;
        MomentBuffer scales = staging.Scales.Rows(floats.shape[0]);
        bits.copy_(stored.Codes);
        if (_isSigned)
        {
            // To the top, so that the sign is in its place; the way back fills up with copies of it, which the mask takes out.
            bits.bitwise_left_shift_(staging.TwentyFour).bitwise_right_shift_(staging.Four).bitwise_and_(staging.SignAndCode);
        }
        else
        {
            bits.bitwise_left_shift_(staging.Twenty);
        }

        scales.Bits.copy_(stored.Exponents).bitwise_left_shift_(staging.TwentyThree);            // 2^(e − 127); 0 where nothing was stored yet
        floats.mul_(_fromCodes).mul_(scales.Floats);
    }
}
