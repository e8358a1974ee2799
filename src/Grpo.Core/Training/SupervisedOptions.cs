using System.Runtime.CompilerServices;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo;

/// <summary>Options of a <see cref="SupervisedTrainer"/>.</summary>
public sealed record SupervisedOptions : IReflectedOptions
{
    /// <summary>Optimizer steps.</summary>
    /// <value>1 or more; default 1000.</value>
    public long Steps { get; set; } = 1000;

    /// <summary>Examples per step.</summary>
    /// <value>1 to 65536; default 32.</value>
    public int BatchSize { get; set; } = 32;

    /// <summary>
    /// Sequences per forward and backward pass, those of similar length together; loss and gradient do not depend on it. Fewer spend less
    /// on padding, more keep the processor busier.
    /// </summary>
    /// <value>1 to 4096; default 32.</value>
    public int MicroBatchSize { get; set; } = 32;

    /// <summary>
    /// Tokens per forward and backward pass, at most, padding included; a sequence that alone is longer has a pass of its own.
    /// </summary>
    /// <value>1 or more, or null for no limit; default null.</value>
    public int? MaxTokensPerMicroBatch { get; set; }

    /// <summary>Peak learning rate.</summary>
    /// <value>0 to 1; default 1e-5.</value>
    public double LearningRate { get; set; } = 1e-5;

    /// <summary>Course of the learning rate after the warm-up; it ends at <see cref="Steps"/>.</summary>
    /// <value>Default <see cref="LearningRateSchedule.Cosine"/>.</value>
    public LearningRateSchedule Schedule { get; set; } = LearningRateSchedule.Cosine;

    /// <summary>Steps of linear warm-up; the first has rate 0.</summary>
    /// <value>0 to below <see cref="Steps"/>; default 0.</value>
    public long WarmupSteps { get; set; }

    /// <summary>Decoupled weight decay of matrices.</summary>
    /// <value>0 to 1; default 0.01.</value>
    public double WeightDecay { get; set; } = 0.01;

    /// <summary>
    /// Where AdamW's moments are kept and in how many bits. Moments of a checkpoint that has them otherwise are converted.
    /// </summary>
    /// <value>Default <see cref="OptimizerMoments.Float32"/>.</value>
    public OptimizerMoments OptimizerMoments { get; set; } = OptimizerMoments.Float32;

    /// <summary>Longest gradient, L2.</summary>
    /// <value>1e-19 or more; default 1.</value>
    public double MaxGradientNorm { get; set; } = 1;

    /// <summary>Longest example, prompt and completion together, tokens; a longer one is an error.</summary>
    /// <value>2 or more; default 2048.</value>
    public int MaxTokens { get; set; } = 2048;

    /// <summary>Seed of the order of the examples.</summary>
    /// <value>Any; default 42.</value>
    public ulong Seed { get; set; } = 42;

    /// <summary>Measure the held-out loss after every so many steps. The last step is followed by a measurement in any case.</summary>
    /// <value>0 (only then) or more; default 0.</value>
    public long EvaluateEvery { get; set; }

    /// <summary>
    /// The number of steps between two checkpoints. A checkpoint also follows the last step, and the last whole step of a run that ends in
    /// another way.
    /// </summary>
    /// <value>0 (not by steps) or more; default 0: steps are short, so that <see cref="CheckpointInterval"/> is enough.</value>
    public long CheckpointEvery { get; set; }

    /// <summary>
    /// The longest time between two checkpoints, looked at after each step. With <see cref="CheckpointEvery"/>, whichever comes first. No
    /// number of the run depends on it.
    /// </summary>
    /// <value>0 (not by time) or more; default 10 minutes.</value>
    public TimeSpan CheckpointInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Continue from the newest checkpoint of the store when there is one. The run must be the one that wrote it: with the same model,
    /// tokenizer, chat template and examples, and the same options, except for <see cref="CheckpointEvery"/>,
    /// <see cref="CheckpointInterval"/>, <see cref="EvaluateEvery"/>, <see cref="MaxTokens"/> and, with a constant learning rate,
    /// <see cref="Steps"/>.
    /// </summary>
    /// <value>Default false.</value>
    public bool Resume { get; set; }

    /// <summary>
    /// Resume although the run differs from the one that wrote the checkpoint. Otherwise it is refused, and every difference named with
    /// both values. Another seed, batch size or number of examples is refused in any case.
    /// </summary>
    /// <value>Default false.</value>
    public bool AllowOptionChanges { get; set; }

    internal IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        Require(Steps >= 1, Steps, "1 or more");
        Require(BatchSize is >= 1 and <= 65536, BatchSize, "1 to 65536");
        Require(MicroBatchSize is >= 1 and <= 4096, MicroBatchSize, "1 to 4096");
        Require(MaxTokensPerMicroBatch is null or >= 1, MaxTokensPerMicroBatch, "1 or more, or null for no limit");
        Require(LearningRate is >= 0 and <= 1, LearningRate, "0 to 1");
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
