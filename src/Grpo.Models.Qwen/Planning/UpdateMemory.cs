using Grpo.Optimization;

namespace Grpo.Models.Qwen.Planning;

/// <summary>The memory in bytes of the forward and backward pass of a micro-batch, excluding the weights.</summary>
/// <param name="model">The memory model.</param>
/// <param name="tokens">The tokens of the micro-batch.</param>
/// <param name="logits">The bytes of a chunk of logits.</param>
/// <param name="gradients">The bytes of the gradients of all trained weights.</param>
internal sealed class UpdateMemory(QwenMemory model, PassTokens tokens, long logits, long gradients)
{
    private readonly LayerMemory _layer = new(model, tokens);
    private readonly long _hidden = tokens.Count * model.Config.HiddenSize;            // elements of the hidden states
    private readonly long _predicting = tokens.Predicted * model.Config.HiddenSize * model.ComputeBytes;
    private readonly long _head = GradientOf(model, model.Config.TieWordEmbeddings && model.FreezeEmbeddings);
    // only if the output layer has its own weight
    private readonly long _embedding = GradientOf(model, model.Config.TieWordEmbeddings || model.FreezeEmbeddings);

    /// <summary>The bytes of a chunk of logits.</summary>
    internal long Logits => logits;

    /// <summary>
    /// The bytes that the forward pass keeps: every layer's tensors, or with checkpointing only its input; the final norm's input; the
    /// hidden states that predict tokens; and the rotary tables and mask that all layers share.
    /// </summary>
    internal long Activations
    {
        get
        {
            long perLayer = model.GradientCheckpointing ? _hidden * model.ComputeBytes : _layer.Kept;
            long finalNorm = _hidden * model.ComputeBytes;
            long shared = ((2 * tokens.Count * model.Config.HeadWidth) + tokens.Mask) * model.ComputeBytes;
            return (model.Config.LayerCount * perLayer) + finalNorm + _predicting + shared;
        }
    }

    /// <summary>
    /// The bytes of activations and gradients in tensors that are too small to be blocks of their own. Those of the
    /// embedding count as large.
    /// </summary>
    internal long SmallBlocks
    {
        get
        {
            bool areSmall = sizeof(float) * (long)model.Config.HiddenSize * model.Config.IntermediateSize < MemoryPlanner.LargeBlock;
            long ofLayers = areSmall ? gradients - _head - _embedding : 0;
            long inputs = model.GradientCheckpointing ? (model.Config.LayerCount - 1) * _hidden * model.ComputeBytes : 0;
            return ofLayers + inputs + ((model.GradientCheckpointing ? 1 : model.Config.LayerCount) * _layer.SmallBlocks);
        }
    }

    /// <summary>
    /// The peak of the first micro-batch of an optimizer step. Gradients are allocated layer by layer while activations are freed.
    /// </summary>
    internal long First
    {
        get
        {
            // The output layer's gradient comes first. If the embedding is tied, its gradient is added to the same tensor.
            long ofLayers = gradients - _head - _embedding;
            long outputLayer = Activations + logits + _predicting + _head;
            long lastLayer = Activations + RecomputedLayer + _layer.Backward + _head;
            long firstLayer = ofLayers - (ofLayers / model.Config.LayerCount) + _layer.Kept + _layer.Backward + _head;
            return Math.Max(Math.Max(outputLayer, lastLayer), Math.Max(firstLayer, gradients));
        }
    }

    /// <summary>The peak of the other micro-batches. All gradients exist already, and the output layer adds to its own in place.</summary>
    internal long Later
    {
        get
        {
            long outputLayer = Activations + logits + _predicting;
            long lastLayer = Activations + RecomputedLayer + _layer.Backward;
            return gradients + Math.Max(outputLayer, lastLayer);
        }
    }

    private static long GradientOf(QwenMemory model, bool hasNone) => hasNone || model.Lora is not null
        ? 0
        : sizeof(float) * model.Counts.Embedding;

    private long RecomputedLayer => model.GradientCheckpointing ? _layer.Kept : 0;
}
