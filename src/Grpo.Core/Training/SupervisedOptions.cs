using System.Runtime.CompilerServices;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo;

/// <summary>The options of a <see cref="SupervisedTrainer"/>.</summary>
public sealed record SupervisedOptions : IReflectedOptions
{
    /// <summary>The step after which training ends, counted from the very first step. A resumed run performs the remaining ones.</summary>
    /// <value>1 or more; default 1000.</value>
    public long Steps { get; set; } = 1000;

    /// <summary>The number of examples per step.</summary>
    /// <value>1 to 65536; default 32.</value>
    public int BatchSize { get; set; } = 32;

    /// <summary>
    /// The number of sequences per forward and backward pass. Sequences of similar length are put together. Small micro-batches waste less
    /// on padding, large ones use the processor better. Loss and gradient do not depend on it.
    /// </summary>
    /// <value>1 to 4096; default 32.</value>
    public int MicroBatchSize { get; set; } = 32;

    /// <summary>
    /// The largest number of tokens per forward and backward pass, including padding. A longer sequence gets a pass of its own.
    /// </summary>
    /// <value>1 or more, or null for no limit; default null.</value>
    public int? MaxTokensPerMicroBatch { get; set; }

    /// <summary>
    /// The peak learning rate. Null means the default for what the policy trains, which <see cref="ChooseLearningRate"/> returns.
    /// </summary>
    /// <value>0 to 1, or null for 1e-5, and 1e-4 if only an adapter is trained; default null.</value>
    public double? LearningRate { get; set; }

    /// <summary>The schedule of the learning rate from the end of the warm-up to <see cref="Steps"/>.</summary>
    /// <value>Default <see cref="LearningRateSchedule.Cosine"/>.</value>
    public LearningRateSchedule Schedule { get; set; } = LearningRateSchedule.Cosine;

    /// <summary>The number of steps of linear warm-up. The first of them has learning rate 0.</summary>
    /// <value>0 or more, below <see cref="Steps"/>; default 0.</value>
    public long WarmupSteps { get; set; }

    /// <summary>The decoupled weight decay, which applies to matrices only.</summary>
    /// <value>0 to 1; default 0.01.</value>
    public double WeightDecay { get; set; } = 0.01;

    /// <summary>
    /// The place and precision of AdamW's moments. Moments of a checkpoint that were kept in another way are converted.
    /// </summary>
    /// <value>Default <see cref="OptimizerMoments.Float32"/>.</value>
    public OptimizerMoments OptimizerMoments { get; set; } = OptimizerMoments.Float32;

    /// <summary>The largest L2 norm of the gradient. Longer gradients are clipped to it.</summary>
    /// <value>1e-19 or more; default 1.</value>
    public double MaxGradientNorm { get; set; } = 1;

    /// <summary>The largest length of an example in tokens, prompt and completion together. A longer example is an error.</summary>
    /// <value>2 or more; default 2048.</value>
    public int MaxTokens { get; set; } = 2048;

    /// <summary>The seed of the order of the examples.</summary>
    /// <value>Any number; default 42.</value>
    public ulong Seed { get; set; } = 42;

    /// <summary>The number of steps between two measurements of the held-out loss. It is also measured after the last step.</summary>
    /// <value>0 (only after the last step) or more; default 0.</value>
    public long EvaluateEvery { get; set; }

    /// <summary>
    /// The number of steps between two checkpoints. A checkpoint is also written after the last step, and after the last whole step of a
    /// run that is stopped or fails.
    /// </summary>
    /// <value>
    /// 0 (no checkpoints by steps) or more; default 0, because steps are short and <see cref="CheckpointInterval"/> is enough.
    /// </value>
    public long CheckpointEvery { get; set; }

    /// <summary>
    /// The longest time between two checkpoints, checked after each step. A checkpoint is due by this time or by
    /// <see cref="CheckpointEvery"/>, whichever comes first. No number of the run depends on it.
    /// </summary>
    /// <value>0 (no checkpoints by time) or more; default 10 minutes.</value>
    public TimeSpan CheckpointInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// True to continue from the newest checkpoint of the store if there is one. Load the model that the run began with: it, the tokenizer,
    /// chat template, examples and options must be those of the run that wrote the checkpoint.
    /// </summary>
    /// <remarks>
    /// Only <see cref="CheckpointEvery"/>, <see cref="CheckpointInterval"/>, <see cref="EvaluateEvery"/>, <see cref="MaxTokens"/> and, with
    /// a constant learning rate, <see cref="Steps"/> may differ.
    /// </remarks>
    /// <value>Default false.</value>
    public bool Resume { get; set; }

    /// <summary>
    /// True to resume although the run differs from the one that wrote the checkpoint. False refuses such a run with an exception that
    /// lists every difference. A different seed, batch size or number of examples is always refused.
    /// </summary>
    /// <value>Default false.</value>
    public bool AllowOptionChanges { get; set; }

    /// <summary>The default learning rate of full training.</summary>
    internal const double FullTrainingRate = 1e-5;

    /// <summary>The default learning rate if only an adapter is trained.</summary>
    internal const double AdapterRate = 1e-4;

    /// <summary>Chooses the peak learning rate: <see cref="LearningRate"/>, or else the default for what is trained.</summary>
    /// <param name="trainsAdapter">True if only an adapter is trained (<see cref="Modeling.IAdapterPolicy.TrainsAdapter"/>).</param>
    /// <returns>The rate and the reason for it.</returns>
    public LearningRateChoice ChooseLearningRate(bool trainsAdapter) => new(LearningRate, FullTrainingRate, AdapterRate, trainsAdapter);

    internal IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        Require(Steps >= 1, Steps, "1 or more");
        Require(BatchSize is >= 1 and <= 65536, BatchSize, "1 to 65536");
        Require(MicroBatchSize is >= 1 and <= 4096, MicroBatchSize, "1 to 4096");
        Require(MaxTokensPerMicroBatch is null or >= 1, MaxTokensPerMicroBatch, "1 or more, or null for no limit");
        Require(LearningRate is null or (>= 0 and <= 1), LearningRate, "0 to 1");
        Require(Enum.IsDefined(Schedule), Schedule, string.Join(", ", Enum.GetNames<LearningRateSchedule>()));
        Require(WarmupSteps >= 0 && WarmupSteps < Steps, WarmupSteps, "0 to below Steps");
        Require(WeightDecay is >= 0 and <= 1, WeightDecay, "0 to 1");
        Require(Enum.IsDefined(OptimizerMoments), OptimizerMoments, string.Join(", ", Enum.GetNames<OptimizerMoments>()));
        Require(MaxGradientNorm > 0, MaxGradientNorm, "above 0");
        Require(MaxGradientNorm is not (> 0 and < Float32.SmallestNorm), MaxGradientNorm,
            FormattableString.Invariant($"{Float32.SmallestNorm} or more: gradients are divided by their norm over it, in float32"));
        problems.AddRange(GrpoOptionsValidator.ValidateAdam(LearningRate, WeightDecay));
        Require(MaxTokens >= 2, MaxTokens, "2 or more");
        Require(EvaluateEvery >= 0, EvaluateEvery, "0 or more");
        Require(CheckpointEvery >= 0, CheckpointEvery, "0 or more");
        Require(CheckpointInterval >= TimeSpan.Zero, CheckpointInterval, "0 or more");
        return problems;

        void Require<T>(bool holds, T value, string allowed, [CallerArgumentExpression(nameof(value))] string name = "") =>
            OptionCheck.Require(problems, holds, value, allowed, name);
    }
}
