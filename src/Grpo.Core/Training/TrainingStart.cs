namespace Grpo;

/// <summary>What a training run is about to do.</summary>
/// <param name="FirstStep">Steps done before this run (0, or where a checkpoint left off).</param>
/// <param name="Steps">The step after which the run ends.</param>
/// <param name="Options">The optimizer's options.</param>
public sealed record TrainingStart(long FirstStep, long Steps, GrpoOptions Options);
