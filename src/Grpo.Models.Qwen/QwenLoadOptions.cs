using TorchSharp;

namespace Grpo.Models.Qwen;

/// <summary>How <see cref="QwenPretrained"/> loads a model.</summary>
public sealed record QwenLoadOptions
{
    /// <summary>Where the weights live: cpu, cuda or cuda:n.</summary>
    /// <value>Default cpu.</value>
    public string Device { get; init; } = "cpu";

    /// <summary>Also keep a frozen copy of the weights as they are now, for the KL term.</summary>
    /// <value>Default false.</value>
    public bool WithReference { get; init; }

    /// <summary>Computes each layer again in the backward pass instead of keeping its activations (<see cref="Qwen2ForCausalLM.GradientCheckpointing"/>).</summary>
    /// <value>Default false.</value>
    public bool GradientCheckpointing { get; init; }

    /// <summary>Branch, tag or commit of a hub id.</summary>
    /// <value>Default main.</value>
    public string Revision { get; init; } = "main";

    /// <summary>Told how far a download is; null: nobody.</summary>
    public IProgress<HubProgress>? Progress { get; init; }
}
