namespace Grpo;

/// <summary>Options of a <see cref="SupervisedTrainer"/>.</summary>
public sealed record SupervisedOptions
{
    /// <summary>Optimizer steps.</summary>
    /// <value>1 or more; default 1000.</value>
    public long Steps { get; set; } = 1000;

    /// <summary>Examples per step.</summary>
    /// <value>1 to 65536; default 32.</value>
    public int BatchSize { get; set; } = 32;

    /// <summary>Sequences per forward and backward pass; loss and gradient do not depend on it.</summary>
    /// <value>1 to 4096; default 32.</value>
    public int MicroBatchSize { get; set; } = 32;

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

    /// <summary>Longest gradient, L2.</summary>
    /// <value>Above 0; default 1.</value>
    public double MaxGradientNorm { get; set; } = 1;

    /// <summary>Longest example, prompt and completion together, tokens; a longer one is an error.</summary>
    /// <value>2 or more; default 2048.</value>
    public int MaxTokens { get; set; } = 2048;

    /// <summary>Seed of the order of the examples.</summary>
    /// <value>Any; default 42.</value>
    public ulong Seed { get; set; } = 42;

    internal void ThrowIfInvalid()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Steps, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(BatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(MicroBatchSize, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(LearningRate);
        ArgumentOutOfRangeException.ThrowIfNegative(WarmupSteps);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(WarmupSteps, Steps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxGradientNorm);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxTokens, 2);
    }
}
