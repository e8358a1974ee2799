using System.Globalization;
using System.Runtime.CompilerServices;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Planning;
using Grpo.Scoring;
using Microsoft.Extensions.Options;

namespace Grpo.Optimization;

/// <summary>Checks <see cref="GrpoOptions"/>, also as a validator of Microsoft.Extensions.Options.</summary>
internal sealed class GrpoOptionsValidator : IValidateOptions<GrpoOptions>
{
    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, GrpoOptions options) =>
        Validate(options) is { Count: > 0 } problems ? ValidateOptionsResult.Fail(problems) : ValidateOptionsResult.Success;

    /// <summary>Lists every option that is out of range.</summary>
    internal static IReadOnlyList<string> Validate(GrpoOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        var problems = new List<string>();
        SamplingOptions sampling = options.Sampling;
        RewardOptions rewards = options.Rewards;

        Require(
            options.GroupSize is >= 2 and <= 1024, options.GroupSize,
            "2 to 1024: the group's mean is the baseline, so a completion needs at least one other");
        Require(options.PromptsPerStep is >= 1 and <= 65536, options.PromptsPerStep, "1 to 65536");
        Require(options.MaxSamplingRounds is >= 1 and <= 64, options.MaxSamplingRounds, "1 (no replacement) to 64");
        Require(options.KlCoefficient is >= 0 and <= 10, options.KlCoefficient, "0 to 10");
        Require(options.EntropyCoefficient is >= 0 and <= 1, options.EntropyCoefficient, "0 to 1");
        Require(options.TopEntropyFraction is > 0 and <= 1, options.TopEntropyFraction, "above 0, at most 1 (all tokens)");
        Require(options.OffPolicyThreshold is null or >= 0, options.OffPolicyThreshold, "0 or more, or null for never");
        Require(options.OffPolicyThreshold is null || options.UpdatesPerRollout > 1, options.OffPolicyThreshold,
            "null with one update per rollout: the policy has then not moved when the loss is taken");
        Require(
            options.SamplerCorrectionCap is null or >= 1, options.SamplerCorrectionCap,
            "1 or more, or null for none: a lower cap would act where both engines agree");
        Require(Enum.IsDefined(options.SamplerCorrectionMode), options.SamplerCorrectionMode, string.Join(
            ", ", Enum.GetNames<SamplerCorrectionMode>()));
        Require(
            options.KlTarget is null || (options.KlTarget > 0 && double.IsFinite(options.KlTarget.Value)), options.KlTarget,
            "above 0 and finite, or null for a fixed coefficient");
        Require(
            options.KlTarget is null || options.KlCoefficient > 0, options.KlCoefficient,
            "above 0 with a KlTarget: the controller multiplies it, so it would stay 0");
        Require(options.ReferenceSyncEvery is null or >= 1, options.ReferenceSyncEvery, "1 or more, or null for a reference that stays");
        Require(
            options.ReferenceSyncEvery is null || options.KlCoefficient > 0, options.ReferenceSyncEvery,
            "null without a KL term: there is no reference model to move");
        Require(options.ReferenceSyncMix is > 0 and <= 1, options.ReferenceSyncMix, "above 0, at most 1 (the policy's weights)");
        Require(options.GradientSpikeFactor is null or > 1, options.GradientSpikeFactor, "above 1, or null for never");
        Require(!options.HasKlInReward || options.MaxSamplingRounds == 1, options.MaxSamplingRounds,
            "1 with K1InReward: the penalty differs within every group, so no group has equal rewards and none would be replaced");
        Require(!options.HasKlInReward || !options.Advantage.ReadsParts, options.Advantage.Name,
            "another one with K1InReward: it reads the parts of the reward, and the penalty is taken off their sum",
            nameof(options.Advantage));
        Require(options.UpdatesPerRollout is >= 1 and <= 64, options.UpdatesPerRollout, "1 to 64");
        Require(options.MicroBatchSize is >= 1 and <= 4096, options.MicroBatchSize, "1 to 4096");
        Require(options.MaxTokensPerMicroBatch is null or >= 1, options.MaxTokensPerMicroBatch, "1 or more, or null for no limit");
        Require(options.LearningRate is null or (>= 0 and <= 1), options.LearningRate, "0 to 1");
        Require(options.WarmupSteps >= 0, options.WarmupSteps, "0 or more");
        Require(options.Schedule == LearningRateSchedule.Constant || options.ScheduleSteps > options.WarmupSteps, options.ScheduleSteps,
            $"above WarmupSteps with the {options.Schedule} schedule");
        Require(options.ScheduleFloor is >= 0 and <= 1, options.ScheduleFloor, "0 to 1");
        Require(options.AdamBeta1 is >= 0 and < 1, options.AdamBeta1, "0 to below 1");
        Require(options.AdamBeta2 is >= 0 and < 1, options.AdamBeta2, "0 to below 1");
        Require(options.AdamEpsilon is > 0 and <= 1, options.AdamEpsilon, "above 0, at most 1");
        Require(Enum.IsDefined(options.OptimizerMoments), options.OptimizerMoments, string.Join(", ", Enum.GetNames<OptimizerMoments>()));
        Require(options.WeightDecay is >= 0 and <= 1, options.WeightDecay, "0 to 1");
        Require(options.MaxGradientNorm is null or > 0, options.MaxGradientNorm, "above 0, or null for no clipping");
        Require(Enum.IsDefined(options.KlEstimator), options.KlEstimator, string.Join(", ", Enum.GetNames<KlEstimator>()));
        Require(Enum.IsDefined(options.Reduction), options.Reduction, string.Join(", ", Enum.GetNames<LossReduction>()));
        Require(Enum.IsDefined(options.Schedule), options.Schedule, string.Join(", ", Enum.GetNames<LearningRateSchedule>()));
        Require(Enum.IsDefined(rewards.OnError), rewards.OnError, string.Join(", ", Enum.GetNames<RewardErrorHandling>()));
        Require(rewards.Timeout is null || (rewards.Timeout > TimeSpan.Zero && rewards.Timeout <= TimeSpan.FromDays(24)), rewards.Timeout,
            "above zero and at most 24 days, or null");
        Require(rewards.MaxConcurrency is >= 1 and <= 1024, rewards.MaxConcurrency, "1 to 1024");
        Fits(options.KlCoefficient is > 0 and <= 10, options.KlCoefficient, zeroIsAllowed: true);
        Fits(options.EntropyCoefficient is > 0 and <= 1, options.EntropyCoefficient, zeroIsAllowed: true);
        Fits(options.OffPolicyThreshold is > 0, options.OffPolicyThreshold ?? 0, zeroIsAllowed: true, nameof(options.OffPolicyThreshold));
        Fits(options.SamplerCorrectionCap is >= 1, options.SamplerCorrectionCap ?? 1, zeroIsAllowed: false, nameof(
            options.SamplerCorrectionCap));
        Fits(options.ReferenceSyncMix is > 0 and <= 1, options.ReferenceSyncMix);
        Fits(options.AdamEpsilon is > 0 and <= 1, options.AdamEpsilon);
        problems.AddRange(ValidateAdam(options.LearningRate, options.WeightDecay));
        problems.AddRange(Float32.Problems(
            options.AdamBeta1 is >= 0 and < 1 ? Float32.ProblemBelow1(nameof(options.AdamBeta1), options.AdamBeta1) : null,
            options.AdamBeta2 is >= 0 and < 1 ? Float32.ProblemBelow1(nameof(options.AdamBeta2), options.AdamBeta2) : null));
        Require(options.MaxGradientNorm is not (> 0 and < Float32.SmallestNorm), options.MaxGradientNorm,
            Text($"{Float32.SmallestNorm} or more, or null for no clipping: gradients are divided by their norm over it, in float32"));
        problems.AddRange(options.Advantage.Validate());
        problems.AddRange(options.Objective.Validate());
        if (Enum.IsDefined(options.Reduction) && options.Objective.RefusalReason(options.Reduction) is { } reason)
        {
            problems.Add(reason);
        }

        Require(options.UpdatesPerRollout == 1 || options.Objective.AllowsForOldSamples, options.UpdatesPerRollout,
            $"1 with {options.Objective.Name} as it is set: from the second update on the samples are those of another policy, for which "
            + "this objective does not allow");
        ArgumentNullException.ThrowIfNull(sampling);
        problems.AddRange(sampling.Validate());
        Require(
            sampling.Temperature > 0, sampling.Temperature, "above 0: greedy completions of one prompt are all equal and teach nothing");
        if (sampling.HasFilters)
        {
            problems.Add(
                "TopK, TopP, MinP and RepetitionPenalty must be off in training (0, 1, 0, 1): the training log-probs know only the "
                + "temperature, so filtered samples would come from another distribution than the one that is trained. "
                + "Use them in evaluation.");
        }

        return problems;

        void Require<T>(bool holds, T value, string allowed, [CallerArgumentExpression(nameof(value))] string name = "") =>
            OptionCheck.Require(problems, holds, value, allowed, name);

        // A value out of range is reported by Require; only the others are checked for float32.
        void Fits(bool isInRange, double value, bool zeroIsAllowed = false, [CallerArgumentExpression(nameof(value))] string name = "") =>
            problems.AddRange(
                Float32.Problems(isInRange ? Float32.Problem(name[(name.LastIndexOf('.') + 1)..], value, zeroIsAllowed) : null));
    }

    /// <summary>Checks that the plug-ins can do what valid options ask of them.</summary>
    /// <exception cref="InvalidOperationException">
    /// The policy is random in training or computes no entropies although they are needed, or the reference model is missing.
    /// </exception>
    internal static void RequirePlugIns(GrpoOptions options, IPolicy policy, IReferenceModel? reference)
    {
        if (policy is IStochasticPolicy { IsStochastic: true })
        {
            throw new InvalidOperationException(
                $"{policy.GetType().Name} is random in training (dropout): its ratios to the sampled log-probs would be noise. "
                + "Switch dropout off for GRPO; SupervisedTrainer can use it.");
        }

        if (options.NeedsEntropies && policy is not IEntropyPolicy)
        {
            throw new InvalidOperationException(
                $"{policy.GetType().Name} computes no entropies. Implement IEntropyPolicy, or set EntropyCoefficient to 0 and "
                + "TopEntropyFraction to 1.");
        }

        if (options.KlCoefficient != 0 && reference is null)
        {
            throw new InvalidOperationException(
                FormattableString.Invariant(
                    $"KlCoefficient is {options.KlCoefficient} but no reference model was given. Pass one, or set KlCoefficient to 0."));
        }
    }

    /// <summary>Lists the values that float32 would round to 0 among those that every trainer passes to AdamW.</summary>
    internal static IEnumerable<string> ValidateAdam(double? learningRate, double weightDecay) => Float32.Problems(
        learningRate is > 0 and <= 1 ? Float32.Problem(nameof(GrpoOptions.LearningRate), learningRate.Value, zeroIsAllowed: true) : null,
        weightDecay is > 0 and <= 1 ? Float32.Problem(nameof(GrpoOptions.WeightDecay), weightDecay, zeroIsAllowed: true) : null);

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
