using Grpo.Modeling;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>How <see cref="QwenPretrained"/> loads a model.</summary>
public sealed record QwenLoadOptions
{
    /// <summary>Where the weights live: cpu, cuda or cuda:n.</summary>
    /// <value>Default cpu.</value>
    public string Device { get; init; } = "cpu";

    /// <summary>
    /// Also provide the model as it is now, for the KL term: a frozen copy of the weights, or with an adapter the same weights without it.
    /// </summary>
    /// <value>Default false.</value>
    public bool WithReference { get; init; }

    /// <summary>
    /// Where the reference's copy of the weights lives: cpu, cuda or cuda:n; null: with the policy. In main memory it leaves the device room, for a
    /// slower pass. Read only with <see cref="WithReference"/>; refused with an adapter, whose reference is the policy's own base.
    /// </summary>
    /// <value>Default null.</value>
    public string? ReferenceDevice { get; init; }

    /// <summary>
    /// Leaves the token embedding, and with it a head that is tied to it, as it is (<see cref="Qwen2ForCausalLM.FreezeEmbeddings"/>): a quarter of the
    /// 0.5B model then needs neither gradients nor moments.
    /// </summary>
    /// <value>Default false. With an adapter all weights are frozen in any case.</value>
    public bool FreezeEmbeddings { get; init; }

    /// <summary>
    /// Trains low-rank adapters in place of the weights, which are frozen; null: the weights. Where an adapter is loaded, it must be of the same
    /// rank, scale and target modules, and dropout and seed are those given here.
    /// </summary>
    /// <value>Default null.</value>
    public LoraOptions? Lora { get; init; }

    /// <summary>
    /// Folder of an adapter to load onto the model, to be used or trained further. Not needed where the model's own folder is an adapter that
    /// names its base.
    /// </summary>
    /// <value>Default null.</value>
    public string? Adapter { get; init; }

    /// <summary>
    /// Compute in the type that the weights are stored in instead of float32: half the memory for a checkpoint in 16 bits. Only an adapter can
    /// then be trained; it is float32 in any case.
    /// </summary>
    /// <value>Default false.</value>
    public bool KeepStoredType { get; init; }

    /// <summary>
    /// Mixed precision: bfloat16 for the products and activations of float32 weights (<see cref="Qwen2ForCausalLM.ComputeType"/>). Made for GPUs, and
    /// 1.6 to 1.9 times as fast as float32 on a CPU with AVX512-BF16; activations take half, and the reference's copy has 16 bits too.
    /// </summary>
    /// <value>BFloat16, or null for the type of the weights; default null.</value>
    public ScalarType? ComputeType { get; init; }

    /// <summary>Computes each layer again in the backward pass instead of keeping its activations (<see cref="Qwen2ForCausalLM.GradientCheckpointing"/>).</summary>
    /// <value>Default false.</value>
    public bool GradientCheckpointing { get; init; }

    /// <summary>Decodes with weights and activations rounded to 8 bits (<see cref="QwenPolicy.Int8Rollouts"/>).</summary>
    /// <value>Default false.</value>
    public bool Int8Rollouts { get; init; }

    /// <summary>
    /// The chat template to use in place of the checkpoint's own. Needed where that is not one of the known ones (those of Qwen2 and
    /// Qwen2.5, and plain ChatML), which is refused otherwise. One that closes messages with a token implements
    /// <see cref="IEndOfTurnTemplate"/>.
    /// </summary>
    /// <value>Default null: the checkpoint's own; where it has none, Qwen2.5's, which is logged.</value>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>Receives a warning when the checkpoint has no chat template and Qwen2.5's is used.</summary>
    /// <value>Default null: nobody.</value>
    public ILogger? Logger { get; init; }

    /// <summary>Branch, tag or commit of a hub id.</summary>
    /// <value>Default main.</value>
    public string Revision { get; init; } = "main";

    /// <summary>Told how far a download is; null: nobody.</summary>
    public IProgress<HubProgress>? Progress { get; init; }
}
