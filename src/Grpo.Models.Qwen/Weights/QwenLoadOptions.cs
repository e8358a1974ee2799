using Grpo.Hub;
using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>The options with which <see cref="QwenPretrained"/> loads a model.</summary>
public sealed record QwenLoadOptions
{
    /// <summary>The device of the weights: cpu, cuda or cuda:n.</summary>
    /// <value>Default cpu.</value>
    public string Device { get; init; } = "cpu";

    /// <summary>
    /// True to provide also the model before training, for the KL term: a frozen copy of the weights, or with an adapter
    /// the same weights without it.
    /// </summary>
    /// <value>Default false.</value>
    public bool WithReference { get; init; }

    /// <summary>The device of the reference's copy of the weights: cpu, cuda or cuda:n. Null means the policy's device.</summary>
    /// <remarks>
    /// On the CPU the copy takes no device memory, but its pass is slower. Used only with <see cref="WithReference"/>. Refused with an
    /// adapter, whose reference is the policy's own base.
    /// </remarks>
    /// <value>Default null.</value>
    public string? ReferenceDevice { get; init; }

    /// <summary>
    /// True to leave the token embedding, and an output layer that is tied to it, untrained
    /// (<see cref="CausalLM.FreezeEmbeddings"/>). A quarter of the 0.5B model then needs neither gradients nor moments.
    /// </summary>
    /// <value>Default false. With an adapter all weights are frozen in any case.</value>
    public bool FreezeEmbeddings { get; init; }

    /// <summary>
    /// The low-rank adapters that are trained instead of the weights, which are frozen. Null trains the weights. For an adapter that is
    /// loaded, rank, scale and target modules must equal its own; dropout and seed are those given here.
    /// </summary>
    /// <value>Default null.</value>
    public LoraOptions? Lora { get; init; }

    /// <summary>
    /// The folder of an adapter to load onto the model, to use it or train it further. Not needed if the model's own folder is an adapter
    /// that names its base.
    /// </summary>
    /// <value>Default null.</value>
    public string? Adapter { get; init; }

    /// <summary>
    /// True to compute in the type of the stored weights instead of float32. A checkpoint in 16 bits then takes half the memory, but only
    /// an adapter can be trained. An adapter is always float32.
    /// </summary>
    /// <value>Default false.</value>
    public bool KeepStoredType { get; init; }

    /// <summary>
    /// True to store the projections of the frozen base in 4 bits (NF4, as in QLoRA), an eighth of float32. Embedding, output layer, norms
    /// and biases keep their type. Only an adapter can be trained.
    /// </summary>
    /// <remarks>
    /// Rollouts, log-probs and the reference all use the same rounded numbers. So the policy starts as the rounded model, which is slightly
    /// worse than the checkpoint. Each pass converts one weight at a time to the type of the pass, and so does the backward pass.
    /// <see cref="QwenPolicy.MergeAdapter"/> is refused: merge a copy of <see cref="QwenPolicy.Dequantize"/>, or load the adapter onto the
    /// base without this option. Refused with <see cref="Int8Rollouts"/>.
    /// </remarks>
    /// <value>Default false.</value>
    public bool FourBitBase { get; init; }

    /// <summary>
    /// The type of matrix products and activations; BFloat16 with float32 weights is mixed precision
    /// (<see cref="CausalLM.ComputeType"/>).
    /// </summary>
    /// <remarks>
    /// Mixed precision is made for GPUs. On a CPU with AVX512-BF16 it is 1.6 to 1.9 times as fast as float32. Activations take half the
    /// memory, and the reference's copy has 16 bits too.
    /// </remarks>
    /// <value>BFloat16, or null for the type of the weights; default null.</value>
    public ScalarType? ComputeType { get; init; }

    /// <summary>
    /// True to compute each layer again in the backward pass instead of keeping its activations
    /// (<see cref="CausalLM.GradientCheckpointing"/>).
    /// </summary>
    /// <value>Default false.</value>
    public bool GradientCheckpointing { get; init; }

    /// <summary>True to decode with weights and activations rounded to 8 bits (<see cref="QwenPolicy.Int8Rollouts"/>).</summary>
    /// <value>Default false.</value>
    public bool Int8Rollouts { get; init; }

    /// <summary>The chat template that replaces the checkpoint's own.</summary>
    /// <remarks>
    /// Required if the checkpoint's template has a construct that is not supported: loading then refuses it by line. Pass a
    /// <see cref="JinjaChatTemplate"/> or one of your own. One that closes messages with a token implements
    /// <see cref="IEndOfTurnTemplate"/>, unless rendering an answer shows the token.
    /// </remarks>
    /// <value>Default null: the checkpoint's own; if it has none, Qwen2.5's, which is logged.</value>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>The arguments for the checkpoint's own chat template, such as <see cref="ChatTemplateOptions.EnableThinking"/>.</summary>
    /// <remarks>They are not saved with a checkpoint: give them again. Refused together with <see cref="ChatTemplate"/>.</remarks>
    /// <value>Default null: none.</value>
    public ChatTemplateOptions? TemplateOptions { get; init; }

    /// <summary>The logger that receives a warning if the checkpoint has no chat template and Qwen2.5's is used.</summary>
    /// <value>Default null: no warning.</value>
    public ILogger? Logger { get; init; }

    /// <summary>The branch, tag or commit of a hub id.</summary>
    /// <value>Default main.</value>
    public string Revision { get; init; } = "main";

    /// <summary>The receiver of the progress of a download; null for none.</summary>
    public IProgress<HubProgress>? Progress { get; init; }
}
