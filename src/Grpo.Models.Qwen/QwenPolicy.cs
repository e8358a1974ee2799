using Grpo.Modeling;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>A Qwen2 model as the policy that is trained, whole or by an adapter.</summary>
public sealed class QwenPolicy
    : IEntropyPolicy, IFusedLossPolicy, ISharedPromptPolicy, IVocabularyPolicy, IMemoryPlannedPolicy, IStochasticPolicy, IHasIdentity, IDisposable
{
    private readonly Action<string>? _saveCompanions;

    /// <summary>Wraps a model.</summary>
    /// <param name="model">The model. The policy owns it from now on.</param>
    /// <param name="saveCompanions">
    /// Called by <see cref="Save"/> with the folder, after the weights of a whole model are written: adds what else loading needs, such as
    /// the tokenizer's files.
    /// </param>
    public QwenPolicy(Qwen2ForCausalLM model, Action<string>? saveCompanions = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        _saveCompanions = saveCompanions;
    }

    /// <summary>The model.</summary>
    public Qwen2ForCausalLM Model { get; }

    /// <summary>Writes the chat template into a folder, for a whole model and for an adapter; null: nothing is written.</summary>
    internal Action<string>? SaveTemplate { get; init; }

    // What a disposed model answers otherwise is of no use: that it has no parameters, or an invalid tensor.
    private Qwen2ForCausalLM Alive
    {
        get
        {
            ObjectDisposedException.ThrowIf(Model.IsDisposed, this);
            return Model;
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The policy or its model was disposed.</exception>
    public nn.Module Module => Alive;

    /// <inheritdoc/>
    public bool IsStochastic => Model.Adapter is { Options.Dropout: > 0 };

    /// <inheritdoc/>
    public bool SharesPrompts => true;

    /// <inheritdoc/>
    public int VocabularySize => Model.Config.VocabularySize;

    /// <inheritdoc/>
    public IMemoryModel Memory => new QwenMemory(Model.Config)
    {
        WeightType = Model.WeightType,
        ComputeType = Model.ComputeType,
        Lora = Model.Adapter?.Options,
        FreezeEmbeddings = Model.Adapter is null && Model.HasFrozenEmbeddings,
        GradientCheckpointing = Model.GradientCheckpointing,
        Int8Rollouts = Int8Rollouts,
    };

    /// <summary>
    /// Whether new tokens are decoded with weights and activations rounded to 8 bits, where at most 64 sequences are decoded at a time: several
    /// times faster on an x86-64 processor with AVX-VNNI, for a difference of a few hundredths of a nat in the log-probs, which <see cref="UpdateReport.SamplerDifference"/> reports. Training does not change: its log-probs,
    /// the old ones included, are of the weights themselves. Prompts are run with the weights themselves too, and so is a weight whose height is not
    /// a multiple of 4 or whose width is not one of 32.
    /// </summary>
    /// <value>Default false. Rounding takes about as long as a few tokens at the start of each session, and a quarter of the memory of float32 weights.</value>
    public bool Int8Rollouts { get; set; }

    /// <inheritdoc/>
    /// <remarks>
    /// The weights are those of the whole model as they are now, or of the base where there is an adapter: an optimizer asks before it
    /// changes them. Without an adapter all are read each time, in about a second for 0.5 billion float32 weights. Device and
    /// <see cref="Qwen2ForCausalLM.GradientCheckpointing"/>, on which no number depends beyond rounding, are left out.
    /// </remarks>
    /// <exception cref="InvalidOperationException">The adapter is merged into the weights.</exception>
    public PlugInIdentity Identity => ModelIdentity.Of("Qwen2", Alive)
        .With("int8 rollouts", Int8Rollouts.ToString())
        .WithAdapter(Model.Adapter?.Options);

    /// <inheritdoc/>
    public Tensor LogProbs(TokenBatch batch, double temperature) => CompletionLogProbs.Compute(Alive, batch, temperature);

    /// <inheritdoc/>
    public Tensor LogProbs(TokenBatch batch, double temperature, Func<Tensor, Tensor> lossGradient)
    {
        ArgumentNullException.ThrowIfNull(lossGradient);
        return CompletionLogProbs.Compute(Alive, batch, temperature, lossGradient);
    }

    /// <inheritdoc/>
    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature) => CompletionLogProbs.ComputeWithEntropies(Alive, batch, temperature);

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException"><see cref="Int8Rollouts"/> is set and the model is not on a CPU with vectors of 256 bits.</exception>
    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        Int8Rollouts && (Alive.Device.type != DeviceType.CPU || !Int8Weight.IsSupported)
            ? throw new NotSupportedException(
                $"{nameof(Int8Rollouts)} is for models on a CPU with vectors of 256 bits, but this one is on {Model.Device}{(Int8Weight.IsSupported ? "" : " of a processor without them")}. Set it to false.")
            : new Qwen2DecodingSession(Alive, prompts, groupSize, maxNewTokens, Int8Rollouts);

    /// <summary>
    /// Writes <c>config.json</c>, <c>model.safetensors</c> (in the type of the weights) and the companions into an existing folder; with an
    /// adapter that is not merged, only the adapter (<see cref="LoraAdapterFiles"/>), a small part of that. A chat template that the files
    /// do not hold is written as <c>chat_template.jinja</c>.
    /// </summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidOperationException">The folder holds a model and this is an adapter, or the other way round.</exception>
    public void Save(string directory)
    {
        if (Alive.Adapter is { IsMerged: false })
        {
            LoraAdapterFiles.Save(Model, directory);
            SaveTemplate?.Invoke(directory);
            return;
        }

        QwenWeights.Save(Model, directory, Model.WeightType);
        _saveCompanions?.Invoke(directory);
        SaveTemplate?.Invoke(directory);
    }

    /// <summary>
    /// Replaces the weights in place by those of a checkpoint, and with an adapter only that by another; an optimizer that holds the
    /// parameters stays valid.
    /// </summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is of a model or an adapter of another shape, or damaged. When the configuration, a name or a shape is wrong, no weight
    /// has changed.
    /// </exception>
    /// <exception cref="InvalidOperationException">The adapter is merged into the weights.</exception>
    public void Load(string directory)
    {
        if (Alive.Adapter is null)
        {
            QwenWeights.LoadInto(Model, directory);
        }
        else
        {
            LoraAdapterFiles.LoadInto(Model, directory);
        }
    }

    /// <summary>
    /// Adds the adapter to the weights, W ← W + scale · B·A, so that the policy runs as fast as one without; <see cref="Save"/> then writes
    /// an ordinary checkpoint. It cannot be trained meanwhile. Main memory holds the adapted weights' originals until
    /// <see cref="UnmergeAdapter"/>.
    /// </summary>
    /// <remarks>
    /// Log-probs are those of the adapter up to the rounding of the weights' type: about 1e-6 in float32, a few hundredths in bfloat16.
    /// </remarks>
    /// <exception cref="InvalidOperationException">There is no adapter, or it is merged.</exception>
    public void MergeAdapter() => Adapter().Merge();

    /// <summary>Undoes <see cref="MergeAdapter"/>: the base's weights are again what they were, bit for bit.</summary>
    /// <exception cref="InvalidOperationException">There is no adapter, or it is not merged.</exception>
    public void UnmergeAdapter() => Adapter().Unmerge();

    /// <summary>Frees the model.</summary>
    public void Dispose() => Model.Dispose();

    private LoraAdapter Adapter() => Alive.Adapter
        ?? throw new InvalidOperationException($"The policy has no adapter. Load it with {nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.Lora)}.");
}
