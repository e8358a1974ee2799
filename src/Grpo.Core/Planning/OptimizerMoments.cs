namespace Grpo.Planning;

/// <summary>
/// The place and precision of AdamW's two moments. In float32 beside the weights they are half of the memory of training.
/// </summary>
#pragma warning disable CA1720 // two are number types, and named so
public enum OptimizerMoments
{
    /// <summary>The moments are float32 on the device of the weights: 8 bytes per weight.</summary>
    Float32,

    /// <summary>
    /// The moments are float32 in main memory, and an update copies them to the device piece by piece. The results equal those of
    /// <see cref="Float32"/>. For a model on the CPU the two values mean one thing.
    /// </summary>
    Host,

    /// <summary>
    /// The moments have 8 bits on the device of the weights: 2 bytes per weight and 8 bytes per block of 256. Weights and gradients stay
    /// float32, and the update is computed in float32, piece by piece. Because of rounding, steps differ from those of
    /// <see cref="Float32"/> by a few percent.
    /// </summary>
    Int8,
}
#pragma warning restore CA1720
