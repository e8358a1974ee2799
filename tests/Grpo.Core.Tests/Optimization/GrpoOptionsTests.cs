using System.Globalization;
using Grpo.Losses;
using Grpo.Optimization;
using Grpo.Planning;
using Microsoft.Extensions.Options;

namespace Grpo.Core.Tests.Optimization;

public sealed class GrpoOptionsTests
{
    public static TheoryData<Action<GrpoOptions>, string> Refused => new()
    {
        { o => o.GroupSize = 1,
            "GroupSize is 1 but must be 2 to 1024: the group's mean is the baseline, so a completion needs at least one other." },
        { o => o.GroupSize = 1025,
            "GroupSize is 1025 but must be 2 to 1024: the group's mean is the baseline, so a completion needs at least one other." },
        { o => o.PromptsPerStep = 0, "PromptsPerStep is 0 but must be 1 to 65536." },
        { o => o.KlCoefficient = -0.01, "KlCoefficient is -0.01 but must be 0 to 10." },
        { o => o.KlCoefficient = double.NaN, "KlCoefficient is NaN but must be 0 to 10." },
        { o => o.KlCoefficient = double.PositiveInfinity, "KlCoefficient is Infinity but must be 0 to 10." },
        { o => o.TopEntropyFraction = 0, "TopEntropyFraction is 0 but must be above 0, at most 1 (all tokens)." },
        { o => (o.KlTarget, o.KlCoefficient) = (0, 0.1), "KlTarget is 0 but must be above 0 and finite, or null for a fixed coefficient." },
        { o => o.KlTarget = 0.1,
            "KlCoefficient is 0 but must be above 0 with a KlTarget: the controller multiplies it, so it would stay 0." },
        { o => o.SamplerCorrectionCap = 0.5,
            "SamplerCorrectionCap is 0.5 but must be 1 or more, or null for none: a lower cap would act where both engines agree." },
        { o => o.MaxSamplingRounds = 0, "MaxSamplingRounds is 0 but must be 1 (no replacement) to 64." },
        { o => o.EntropyCoefficient = -0.1, "EntropyCoefficient is -0.1 but must be 0 to 1." },
        { o => (o.OffPolicyThreshold, o.UpdatesPerRollout) = (-1, 2),
            "OffPolicyThreshold is -1 but must be 0 or more, or null for never." },
        { o => o.OffPolicyThreshold = 0.5,
            "OffPolicyThreshold is 0.5 but must be null with one update per rollout: the policy has "
                + "then not moved when the loss is taken." },
        { o => o.UpdatesPerRollout = 0, "UpdatesPerRollout is 0 but must be 1 to 64." },
        { o => o.MicroBatchSize = 0, "MicroBatchSize is 0 but must be 1 to 4096." },
        { o => o.MaxTokensPerMicroBatch = 0, "MaxTokensPerMicroBatch is 0 but must be 1 or more, or null for no limit." },
        { o => o.LearningRate = -1e-6, "LearningRate is -1E-06 but must be 0 to 1." },
        { o => o.LearningRate = double.NaN, "LearningRate is NaN but must be 0 to 1." },
        { o => o.WarmupSteps = -1, "WarmupSteps is -1 but must be 0 or more." },
        { o => o.Schedule = LearningRateSchedule.Cosine, "ScheduleSteps is 0 but must be above WarmupSteps with the Cosine schedule." },
        { o => o.ScheduleFloor = 1.5, "ScheduleFloor is 1.5 but must be 0 to 1." },
        { o => o.AdamBeta1 = 1, "AdamBeta1 is 1 but must be 0 to below 1." },
        { o => o.AdamBeta2 = double.NaN, "AdamBeta2 is NaN but must be 0 to below 1." },
        { o => o.AdamEpsilon = 0, "AdamEpsilon is 0 but must be above 0, at most 1." },
        { o => o.OptimizerMoments = (OptimizerMoments)9, "OptimizerMoments is 9 but must be Float32, Host, Int8." },
        { o => o.WeightDecay = 2, "WeightDecay is 2 but must be 0 to 1." },
        { o => o.MaxGradientNorm = 0, "MaxGradientNorm is 0 but must be above 0, or null for no clipping." },
        { o => o.MaxGradientNorm = double.NaN, "MaxGradientNorm is NaN but must be above 0, or null for no clipping." },
        { o => o.Advantage = new GroupNormalizedAdvantage { Epsilon = 0 }, "Epsilon is 0 but must be a finite number greater than 0." },
        { o => o.Objective = new ClippedObjective { Low = 0 }, "Low of clipped surrogate is 0 but must be above 0 and below 1." },
        { o => o.Objective = new ClippedObjective { High = double.NaN },
            "High of clipped surrogate is NaN but must be above 0, at most 100." },
        { o => o.Objective = new ClippedObjective { Cap = 1.1 },
            "Cap of clipped surrogate is 1.1 but must be above 1 + High, or null: a lower cap would act before the clip." },
        { o => (o.Objective, o.UpdatesPerRollout) = (new ReinforceObjective(), 2),
            "UpdatesPerRollout is 2 but must be 1 with REINFORCE as it is set: from the second update on the samples are those of another "
                + "policy, for which this objective does not allow." },
        { o => o.KlEstimator = (KlEstimator)9, "KlEstimator is 9 but must be K3, K2, ImportanceCorrectedK3, StraightThrough, K1InReward." },
        { o => o.Reduction = (LossReduction)9, "Reduction is 9 but must be TokenMean, SequenceMean, FixedLength, SequenceSum." },
        { o => o.Sampling.Temperature = 0,
            "Temperature is 0 but must be above 0: greedy completions of one prompt are all equal and teach nothing." },
        { o => o.Sampling.Temperature = 11, "Temperature is 11 but must be 0 (greedy) to 10." },
        { o => o.Sampling.MaxCompletionTokens = 0, "MaxCompletionTokens is 0 but must be 1 to 131072." },
        { o => o.Sampling.MaxPromptTokens = 0, "MaxPromptTokens is 0 but must be 1 to 131072." },
        { o => o.Sampling.MaxConcurrentSequences = 0, "MaxConcurrentSequences is 0 but must be 1 to 65536." },
        { o => o.Sampling.TopK = 5, Filters },
        { o => o.Sampling.TopP = 0.9, Filters },
        { o => o.Sampling.MinP = 0.1, Filters },
        { o => o.Sampling.RepetitionPenalty = 1.1, Filters },
    };

    private const string Filters =
        "TopK, TopP, MinP and RepetitionPenalty must be off in training (0, 1, 0, 1): the training log-probs know only the temperature, " +
        "so filtered samples would come from another distribution than the one that is trained. Use them in evaluation.";

    [Fact]
    public void Validate_refuses_a_reduction_that_the_objective_is_not_defined_with_and_says_why()
    {
        var options = new GrpoOptions { Objective = new GspoObjective(), Reduction = LossReduction.TokenMean };
        Assert.StartsWith(
            "GSPO has one ratio per completion, so TokenMean would", Assert.Single(options.Validate()), StringComparison.Ordinal);
        Assert.Empty((options with { Reduction = LossReduction.SequenceMean }).Validate());
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public void Validate_names_the_option_its_value_and_what_is_allowed(Action<GrpoOptions> change, string message)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE"); // "0,04" would be another number to an English reader
            var options = new GrpoOptions();
            change(options);
            Assert.Equal([message], options.Validate());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [InlineData(double.NaN, 0, 1, 0, 1, "Temperature is NaN but must be 0 (greedy) to 10.")]
    [InlineData(-1, 0, 1, 0, 1, "Temperature is -1 but must be 0 (greedy) to 10.")]
    [InlineData(0, -1, 1, 0, 1, "TopK is -1 but must be 0 (off) or more.")]
    [InlineData(0, 0, 0, 0, 1, "TopP is 0 but must be above 0, at most 1 (off).")]
    [InlineData(0, 0, double.NaN, 0, 1, "TopP is NaN but must be above 0, at most 1 (off).")]
    [InlineData(0, 0, 1, 1.5, 1, "MinP is 1.5 but must be 0 (off) to 1.")]
    [InlineData(0, 0, 1, 0, 0, "RepetitionPenalty is 0 but must be above 0, at most 10; 1 is off.")]
    public void ValidateSampling_allows_filters_and_greed_but_no_nonsense(
        double temperature, int topK, double topP, double minP, double repetitionPenalty, string message)
    {
        var sampling =
            new SamplingOptions { Temperature = temperature, TopK = topK, TopP = topP, MinP = minP, RepetitionPenalty = repetitionPenalty };
        Assert.Equal([message], sampling.Validate());
    }

    [Fact]
    public void Validate_lists_everything_that_is_wrong()
    {
        var options = new GrpoOptions { GroupSize = 1, LearningRate = -1, Sampling = new SamplingOptions { TopK = 3 } };
        Assert.Equal(3, options.Validate().Count);
        ValidateOptionsResult result = new GrpoOptionsValidator().Validate(null, options);
        Assert.True(result.Failed);
        Assert.Equal(options.Validate(), result.Failures);
        Assert.True(new GrpoOptionsValidator().Validate(null, new GrpoOptions()).Succeeded);
    }

    [Fact]
    public void Validate_accepts_the_limits_themselves()
    {
        var options = new GrpoOptions
        {
            GroupSize = 2,
            PromptsPerStep = 1,
            Objective = new ClippedObjective { High = 100, Cap = 101.5 },
            KlCoefficient = 10,
            UpdatesPerRollout = 64,
            LearningRate = 0,
            Schedule = LearningRateSchedule.Linear,
            WarmupSteps = 5,
            ScheduleSteps = 6,
            ScheduleFloor = 1,
            AdamBeta1 = 0,
            AdamBeta2 = 0,
            AdamEpsilon = 1,
            WeightDecay = 1,
            MaxGradientNorm = null,
            Sampling = new SamplingOptions { Temperature = 10, MaxCompletionTokens = 1 },
        };
        Assert.Empty(options.Validate());
    }
}
