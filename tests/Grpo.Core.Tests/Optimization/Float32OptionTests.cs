using Grpo.Losses;

namespace Grpo.Core.Tests.Optimization;

/// <summary>Options are judged as the arithmetic sees them: in float32, where 1e-46 is 0, 1e300 is infinite and 1 − 1e-9 is 1.</summary>
public sealed class Float32OptionTests
{
    public static TheoryData<Action<GrpoOptions>, string> Refused => new()
    {
        { o => o.AdamEpsilon = 1e-46, "AdamEpsilon is 1E-46, which float32 rounds to 0; use 1.2E-38 or more." },
        { o => o.AdamEpsilon = 1e-39, "AdamEpsilon is 1E-39, which float32 holds with fewer digits or as 0; use 1.2E-38 or more." },
        { o => o.AdamEpsilon = double.Epsilon, "AdamEpsilon is 5E-324, which float32 rounds to 0; use 1.2E-38 or more." },
        { o => o.AdamBeta1 = 1 - 1e-9, "AdamBeta1 is 0.999999999, which float32 rounds to 1; use 0.9999999 or less." },
        { o => o.AdamBeta2 = 1 - 1e-12, "AdamBeta2 is 0.999999999999, which float32 rounds to 1; use 0.9999999 or less." },
        { o => o.LearningRate = 1e-50, "LearningRate is 1E-50, which float32 rounds to 0; use 1.2E-38 or more, or 0." },
        { o => o.WeightDecay = 1e-60, "WeightDecay is 1E-60, which float32 rounds to 0; use 1.2E-38 or more, or 0." },
        { o => o.MaxGradientNorm = 1e-46,
            "MaxGradientNorm is 1E-46 but must be 1E-19 or more, or null for no clipping: gradients are divided "
                + "by their norm over it, in float32." },
        { o => o.MaxGradientNorm = 1e-20,
            "MaxGradientNorm is 1E-20 but must be 1E-19 or more, or null for no clipping: gradients are divided "
                + "by their norm over it, in float32." },
        { o => o.KlCoefficient = 1e-46, "KlCoefficient is 1E-46, which float32 rounds to 0; use 1.2E-38 or more, or 0." },
        { o => o.EntropyCoefficient = 1e-300, "EntropyCoefficient is 1E-300, which float32 rounds to 0; use 1.2E-38 or more, or 0." },
        { o => (o.ReferenceSyncEvery, o.KlCoefficient, o.ReferenceSyncMix) = (1, 0.1, 1e-46),
            "ReferenceSyncMix is 1E-46, which float32 rounds to 0; use 1.2E-38 or more." },
        { o => o.SamplerCorrectionCap = 1e300, "SamplerCorrectionCap is 1E+300, which float32 cannot hold; use 3.4E+38 or less." },
        { o => o.SamplerCorrectionCap = double.PositiveInfinity,
            "SamplerCorrectionCap is Infinity, which float32 cannot hold; use 3.4E+38 or less." },
        { o => (o.OffPolicyThreshold, o.UpdatesPerRollout) = (1e39, 2),
            "OffPolicyThreshold is 1E+39, which float32 cannot hold; use 3.4E+38 or less." },
        { o => o.Sampling.Temperature = 1e-39,
            "Temperature is 1E-39 but must be 0 (greedy), or 1E-06 or more: logits are divided by it, in float32." },
        { o => o.Sampling.Temperature = 1e-7,
            "Temperature is 1E-07 but must be 0 (greedy), or 1E-06 or more: logits are divided by it, in float32." },
        { o => o.Objective = new ClippedObjective { Cap = 1e300 },
            "Cap of clipped surrogate is 1E+300, which float32 cannot hold; use 3.4E+38 or less." },
        { o => o.Objective = new ClippedObjective { DualClip = 1e300 },
            "DualClip of clipped surrogate is 1E+300, which float32 cannot hold; use 3.4E+38 or less." },
        { o => o.Objective = new ClippedObjective { Low = 1e-9 },
            "Low of clipped surrogate is 1E-09, so that 1 - Low is 1 in float32; use 1E-07 or more." },
        { o => o.Objective = new ClippedObjective { High = 1e-300 },
            "High of clipped surrogate is 1E-300, so that 1 + High is 1 in float32; use 1E-07 or more." },
        { o => (o.Objective, o.Reduction) = (new GspoObjective { Low = 1e-10 }, LossReduction.SequenceMean),
            "Low of GSPO is 1E-10, so that 1 - Low is 1 in float32; use 1E-07 or more." },
        { o => (o.Objective, o.Reduction) = (new GspoObjective { Cap = 1e40 }, LossReduction.SequenceMean),
            "Cap of GSPO is 1E+40, which float32 cannot hold; use 3.4E+38 or less." },
        { o => (o.Objective, o.Reduction) = (new GspoTokenObjective { High = 1e-12 }, LossReduction.SequenceMean),
            "High of GSPO-token is 1E-12, so that 1 + High is 1 in float32; use 1E-07 or more." },
        { o => (o.Objective, o.Reduction) = (new GmpoObjective { Low = 1e-46 }, LossReduction.SequenceMean),
            "Low of GMPO is 1E-46, which float32 rounds to 0; use 1.2E-38 or more." },
        { o => o.Objective = new CispoBandObjective { High = 1e-17 },
            "High of CISPO (band) is 1E-17, so that 1 + High is 1 in float32; use 1E-07 or more." },
        { o => o.Objective = new SapoObjective { PositiveTemperature = 1e-40 },
            "PositiveTemperature of SAPO is 1E-40 but must be 1E-06 or more: the loss is divided by it, in float32." },
        { o => o.Objective = new SapoObjective { NegativeTemperature = 1e-8 },
            "NegativeTemperature of SAPO is 1E-08 but must be 1E-06 or more: the loss is divided by it, in float32." },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void Validate_refuses_what_float32_cannot_hold(Action<GrpoOptions> change, string problem)
    {
        var options = new GrpoOptions();
        change(options);
        Assert.Contains(problem, options.Validate());
    }

    public static TheoryData<Action<GrpoOptions>> Allowed => new()
    {
        o => o.AdamEpsilon = 1.2e-38,
        o => (o.AdamBeta1, o.AdamBeta2) = (0.9999999, 0.9999999),
        o => (o.AdamBeta1, o.AdamBeta2) = (1e-50, 0), // as good as 0
        o => (o.LearningRate, o.WeightDecay, o.KlCoefficient, o.EntropyCoefficient) = (0, 0, 0, 0),
        o => o.LearningRate = 1.2e-38,
        o => o.MaxGradientNorm = 1e300,
        o => o.SamplerCorrectionCap = 3.4e38,
        o => o.Sampling.Temperature = 1e-6,
        o => o.Objective = new ClippedObjective { Low = 1e-7, High = 1e-7, Cap = 3.4e38 },
    };

    [Theory]
    [MemberData(nameof(Allowed))]
    public void Validate_takes_what_float32_holds(Action<GrpoOptions> change)
    {
        var options = new GrpoOptions();
        change(options);
        Assert.Empty(options.Validate());
    }

    public static TheoryData<Action<SupervisedOptions>, string> RefusedOfSupervised => new()
    {
        { o => o.LearningRate = 1e-46, "LearningRate is 1E-46, which float32 rounds to 0; use 1.2E-38 or more, or 0." },
        { o => o.WeightDecay = 1e-46, "WeightDecay is 1E-46, which float32 rounds to 0; use 1.2E-38 or more, or 0." },
        { o => o.MaxGradientNorm = 1e-46,
            "MaxGradientNorm is 1E-46 but must be 1E-19 or more: gradients are divided by their norm over it, in float32." },
    };

    [Theory]
    [MemberData(nameof(RefusedOfSupervised))]
    public void Validate_of_supervised_options_refuses_what_float32_cannot_hold(Action<SupervisedOptions> change, string problem)
    {
        var options = new SupervisedOptions();
        change(options);
        Assert.Contains(problem, options.Validate());
    }

    [Fact]
    public void Validate_of_sampling_refuses_a_penalty_that_float32_rounds_to_0() => Assert.Contains(
        "RepetitionPenalty is 1E-46 but must be 1E-06 or more: logits are divided by it, in float32.",
        new SamplingOptions { RepetitionPenalty = 1e-46 }.Validate());
}
