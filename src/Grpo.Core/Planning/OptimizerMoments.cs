namespace Grpo.Planning;

/// <summary>Where AdamW keeps its two moments, which are otherwise half of what training a model takes, and in how many bits.</summary>
#pragma warning disable CA1720 // two are number types, and named so
public enum OptimizerMoments
{
    /// <summary>In float32 beside the weights: 8 bytes a weight.</summary>
    Float32,

    /// <summary>
    /// In float32 in main memory, from where an update brings a piece at a time to the device. The numbers are those of <see cref="Float32"/>;
    /// for a model on the CPU the two are one.
    /// </summary>
    Host,

    /// <summary>
    /// In 8 bits beside the weights: 2 bytes a weight and 8 for every 256. Weights and gradients stay float32, and the update is computed in
    /// float32, a piece at a time. Rounding makes steps differ from those of <see cref="Float32"/> by some percent.
    /// </summary>
    Int8,
}
#pragma warning restore CA1720
