using Grpo.Optimization;

namespace Grpo.Models.Qwen;

/// <summary>Bytes of the forward and backward pass of a micro-batch, beside the weights.</summary>
/// <param name="model">The model.</param>
/// <param name="tokens">Of the micro-batch.</param>
/// <param name="logits">Bytes of a chunk of logits.</param>
/// <param name="gradients">Bytes of the gradients of all trained weights.</param>
internal sealed class UpdateMemory(QwenMemory model, PassTokens tokens, long logits, long gradients)
{
    private readonly LayerMemory _layer = new(model, tokens);
    private readonly long _hidden = tokens.Count * model.Config.HiddenSize;            // numbers of one hidden state a token
    private readonly long _predicting = tokens.Predicted * model.Config.HiddenSize * model.ComputeBytes;
    private readonly long _head = GradientOf(model, model.Config.TieWordEmbeddings && model.FreezeEmbeddings);
    private readonly long _embedding = GradientOf(model, model.Config.TieWordEmbeddings || model.FreezeEmbeddings); // when the head has its own

    /// <summary>A chunk of logits.</summary>
    internal long Logits => logits;

    /// <summary>
    /// What the forward pass keeps: of every layer, or with checkpointing its input only; of the final norm; the hidden states that predict; and
    /// rotary tables and mask, which all layers share.
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

    /// <summary>Activations and gradients in tensors too small to be blocks of their own; those of embedding and head are taken to be large.</summary>
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

    /// <summary>The most at a time in the first micro-batch of an optimizer step: gradients arrive layer by layer as activations go.</summary>
    internal long First
    {
        get
        {
            // The output layer's is the first, and what the embedding has is added to it where they are one.
            long ofLayers = gradients - _head - _embedding;
            long turning = Activations + logits + _predicting + _head;
            long lastLayer = Activations + LayerAgain + _layer.Backward + _head;
            long firstLayer = ofLayers - (ofLayers / model.Config.LayerCount) + _layer.Kept + _layer.Backward + _head;
            return Math.Max(Math.Max(turning, lastLayer), Math.Max(firstLayer, gradients));
        }
    }

    /// <summary>The most at a time in the others: all gradients are there, and the output layer adds to its own in place.</summary>
    internal long Later
    {
        get
        {
            long turning = Activations + logits + _predicting;
            long lastLayer = Activations + LayerAgain + _layer.Backward;
            return gradients + Math.Max(turning, lastLayer);
        }
    }

    private static long GradientOf(QwenMemory model, bool hasNone) => hasNone || model.Lora is not null ? 0 : sizeof(float) * model.Counts.Embedding;

    private long LayerAgain => model.GradientCheckpointing ? _layer.Kept : 0;
}
