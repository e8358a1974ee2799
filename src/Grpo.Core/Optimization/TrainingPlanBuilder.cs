using System.ComponentModel;
using System.Globalization;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Planning;
using TorchSharp;

namespace Grpo.Optimization;

/// <summary>Creates the <see cref="TrainingPlan"/> of options and a policy, with their descriptions in words.</summary>
internal static class TrainingPlanBuilder
{
    /// <summary>Creates the plan.</summary>
    public static TrainingPlan Build(GrpoOptions options, IPolicy policy, LearningRateChoice rate)
    {
        IReadOnlyList<(string Name, TorchSharp.Modules.Parameter Parameter)> parameters = policy.TrainedParameters();
        long trained = parameters.Sum(entry => entry.Parameter.numel());
        DeviceType device = policy.Device().type;
        IMemoryModel? memory = (policy as IMemoryPlannedPolicy)?.Memory;
        MemoryVerdict? verdict = memory is null || device != DeviceType.CPU
            ? null
            : MemoryPlanner.Judge(options, memory, MemoryPlanner.MachineBytes());
        return new TrainingPlan
        {
            PromptsPerStep = options.PromptsPerStep,
            GroupSize = options.GroupSize,
            MaxCompletionTokens = options.Sampling.MaxCompletionTokens,
            MaxPromptTokens = options.Sampling.MaxPromptTokens,
            MicroBatchSize = options.MicroBatchSize,
            MaxTokensPerMicroBatch = options.MaxTokensPerMicroBatch,
            SharesPrompts = MicroBatchLimits.From(options, policy).SharePrompts,
            UpdatesPerRollout = options.UpdatesPerRollout,
            MaxSamplingRounds = options.MaxSamplingRounds,
            NeedsReferenceModel = options.KlCoefficient != 0,
            ReferenceMove = options.ReferenceSyncEvery is { } every
                ? Invariant(
                    $"moved by {options.ReferenceSyncMix} of the way to the policy after every {every} steps, and kept in the checkpoint")
                : null,
            Objective = Named(options.Objective.Name, new PolicyObjectiveConverter(), options.Objective),
            Advantage = Named(options.Advantage.Name, new AdvantageFunctionConverter(), options.Advantage),
            Kl = Kl(options),
            Extras = Extras(options),
            Denominator = Denominator(options),
            Optimizer = Optimizer(options),
            LearningRate = rate,
            Temperature = options.Sampling.Temperature,
            Moments = options.OptimizerMoments,
            MomentBytes = parameters.Sum(entry => AdamWMoments.BytesOf(options.OptimizerMoments, entry.Parameter.numel())),
            TrainedParameters = trained,
            FrozenParameters = policy.Module.parameters().Sum(parameter => parameter.numel()) - trained,
            Memory = verdict?.Plan ?? (memory is null ? null : MemoryPlanner.Plan(options, memory, device)),
            MemoryVerdict = verdict,
            Kernels = (policy as IKernelPolicy)?.Kernels,
        };
    }

    private static string Named(string name, TypeConverter converter, object method) =>
        $"{name}: {converter.ConvertToInvariantString(method)}";

    private static string Kl(GrpoOptions options) => options.KlCoefficient == 0
        ? "none (β = 0)"
        : FormattableString.Invariant($"{options.KlCoefficient} · ") + options.KlEstimator switch
        {
            KlEstimator.K3 => "k3 = exp(−x) + x − 1 per token, x = log π − log π_ref",
            KlEstimator.K2 => "k2 = x²/2 per token, x = log π − log π_ref",
            KlEstimator.ImportanceCorrectedK3 => "w·k3 per token, w = π/π_old, k3 = exp(−x) + x − 1, x = log π − log π_ref",
            KlEstimator.StraightThrough => "the value of k3 with the gradient of k2 per token, x = log π − log π_ref",
            KlEstimator.K1InReward => "k1 = Σ x of the completion, taken off its reward, x = log π − log π_ref; none in the loss",
            _ => throw new ArgumentOutOfRangeException(nameof(options), options.KlEstimator, "Not a KL estimator."),
        };

    private static List<string> Extras(GrpoOptions options)
    {
        var extras = new List<string>();
        Add(options.KlTarget is not null, $"β moves to hold KL at {options.KlTarget} nats per token");
        Add(options.EntropyCoefficient != 0, $"entropy bonus {options.EntropyCoefficient}");
        Add(
            options.TopEntropyFraction < 1,
            $"only the least certain {options.TopEntropyFraction} of the tokens, for one more forward pass per update");
        Add(options.OffPolicyThreshold is not null, $"off-policy sequence mask at {options.OffPolicyThreshold} nats per token");
        Add(
            options.SamplerCorrectionCap is not null,
            $"sampler correction, {options.SamplerCorrectionMode} at {options.SamplerCorrectionCap}");
        return extras;

        void Add(bool isOn, FormattableString words)
        {
            if (isOn)
            {
                extras.Add(FormattableString.Invariant(words));
            }
        }
    }

    private static string Denominator(GrpoOptions options)
    {
        int sequences = options.PromptsPerStep * options.GroupSize;
        int length = options.Sampling.MaxCompletionTokens;
        string division = options.Reduction switch
        {
            LossReduction.TokenMean => Invariant(
                $"sum over tokens / N, the completion tokens of the whole step (at most {(long)sequences * length:N0})"),
            LossReduction.SequenceMean => Invariant($"mean over each completion's tokens, then / B = {sequences:N0} completions"),
            LossReduction.FixedLength => Invariant(
                $"sum over tokens / {(long)sequences * length:N0} = B · limit = {sequences:N0} · {length:N0}, whatever the lengths"),
            LossReduction.SequenceSum => Invariant($"sum over each completion's tokens, then / B = {sequences:N0} completions"),
            _ => throw new ArgumentOutOfRangeException(nameof(options), options.Reduction, "Not a reduction."),
        };
        return $"{options.Reduction}: {division}; "
            + (options.MaskTruncatedCompletions
                ? "completions cut at the limit are left out, also of the count"
                : "completions without advantage count too");
    }

    private static string Optimizer(GrpoOptions options)
    {
        string schedule = options.Schedule == LearningRateSchedule.Constant
            ? "constant"
            : Invariant(
                $"{options.Schedule.ToString().ToLowerInvariant()} over {options.ScheduleSteps} optimizer ")
                + Invariant($"steps to {options.ScheduleFloor} of it");
        string warmUp = options.WarmupSteps == 0 ? string.Empty : Invariant($" after {options.WarmupSteps} of warm-up");
        string clipping = options.MaxGradientNorm is { } norm ? Invariant($"gradient norm at most {norm}") : "gradient not clipped";
        string skipping = options.GradientSpikeFactor is { } factor
            ? Invariant($", update skipped above {factor} times the recent median")
            : string.Empty;
        return Invariant(
            $"AdamW, learning rate {options.LearningRate} {schedule}{warmUp}, weight decay {options.WeightDecay}, {clipping}{skipping}");
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
