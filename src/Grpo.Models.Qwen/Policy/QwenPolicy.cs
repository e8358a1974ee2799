using Grpo.Modeling;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Planning;
using Grpo.Models.Qwen.Policy;
using Grpo.Models.Qwen.Weights;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>A policy that is a model of Qwen2, Qwen3 or Llama. Either all weights or only an adapter are trained.</summary>
public sealed class QwenPolicy
    : IEntropyPolicy, IFusedLossPolicy, ISharedPromptPolicy, IVocabularyPolicy, IMemoryPlannedPolicy, IStochasticPolicy, IAdapterPolicy,
    IKernelPolicy, IHasIdentity, IDisposable
{
    private readonly Action<string>? _saveCompanions;

    /// <summary>Creates a policy that owns a model.</summary>
    /// <param name="model">The model. The policy disposes it.</param>
    /// <param name="saveCompanions">
    /// Writes the other files that loading needs, such as the tokenizer's. <see cref="Save"/> calls it with the folder after the weights of
    /// a whole model are written. Null writes none.
    /// </param>
    public QwenPolicy(CausalLM model, Action<string>? saveCompanions = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        _saveCompanions = saveCompanions;
    }

    /// <summary>The model of the policy.</summary>
    public CausalLM Model { get; }

    /// <summary>True if the processor lacks the instructions for the type of the products.</summary>
    internal bool IsSlow => ModelKernels.Of(Alive).IsSlow;

    /// <summary>Writes the chat template into a folder, for a whole model and for an adapter; null writes nothing.</summary>
    internal Action<string>? SaveTemplate { get; init; }

    // Without this check a disposed model would report that it has no parameters, or return an invalid tensor.
    private CausalLM Alive
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
    public bool TrainsAdapter => Model.Adapter is { IsMerged: false };

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
        FourBitBase = Model.HasFourBitBase,
    };

    /// <inheritdoc/>
    public string Kernels => (ModelKernels.Of(Alive) with { Int8Rollouts = Int8Rollouts }).ToString();

    /// <summary>
    /// True to decode new tokens with weights and activations rounded to 8 bits if at most 64 sequences are decoded at a time.
    /// Only on a CPU.
    /// </summary>
    /// <value>Default false.</value>
    /// <remarks>
    /// Decoding of few rows is up to several times faster, because it reads a quarter of the bytes. The log-probs differ by a few
    /// hundredths of a nat, which <see cref="UpdateReport.SamplerDifference"/> reports. Training and prompts use the weights themselves,
    /// and so do the old log-probs. A weight whose height is not a multiple of 4, or whose width is not a multiple of 32, is not rounded.
    /// Rounding takes about as long as a token or two at the start of each session, and a quarter of the memory of float32 weights.
    /// </remarks>
    public bool Int8Rollouts { get; set; }

    /// <summary>Says in words which kernels of this machine would run a model that is not loaded.</summary>
    /// <param name="model">The shape of the model and its types.</param>
    /// <param name="device">The device.</param>
    /// <returns>The kernels, as <see cref="Kernels"/> of the loaded policy returns them.</returns>
    public static string DescribeKernels(QwenMemory model, Device device)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(device);
        return new ModelKernels(model.Config, device, model.WeightType, model.ComputeType)
        {
            HasAdapter = model.Lora is not null,
            FourBitBase = model.FourBitBase,
            Int8Rollouts = model.Int8Rollouts,
        }.ToString();
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The weights are the current ones of the whole model, or those of the base if there is an adapter. An optimizer asks before it
    /// changes them. Without an adapter all weights are read each time, in about a second for 0.5 billion float32 weights. The identity
    /// excludes the device and <see cref="CausalLM.GradientCheckpointing"/>, which change no number beyond rounding.
    /// </remarks>
    /// <exception cref="InvalidOperationException">The adapter is merged into the weights.</exception>
    public PlugInIdentity Identity => ModelIdentity.Describe(Alive)
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
    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature) =>
        CompletionLogProbs.ComputeWithEntropies(Alive, batch, temperature);

    /// <inheritdoc/>
    /// <exception cref="NotSupportedException">
    /// <see cref="Int8Rollouts"/> is set and the model has a base in 4 bits, or is not on a CPU with vectors.
    /// </exception>
    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        Int8Rollouts && Alive.HasFourBitBase
            ? throw new NotSupportedException(
                $"{nameof(Int8Rollouts)} is true, but the base is in 4 bits, which are not rounded again. Set it to false.")
            : Int8Rollouts && (Alive.Device.type != DeviceType.CPU || !Int8Weight.IsSupported)
            ? throw new NotSupportedException(
                $"{nameof(Int8Rollouts)} is for models on a CPU with vectors, but this one is on "
                + $"{Model.Device}{(Int8Weight.IsSupported ? "" : " of a processor without them")}. Set it to false.")
            : new DecodingSession(Alive, prompts, new DecodingOptions(groupSize, maxNewTokens) { Int8 = Int8Rollouts });

    /// <summary>
    /// Writes <c>config.json</c>, <c>model.safetensors</c> (in the type of the weights) and the companion files into a folder. With an
    /// adapter that is not merged, writes only the adapter (<see cref="LoraAdapterFiles"/>). Writes <c>chat_template.jinja</c> if the other
    /// files do not hold the template.
    /// </summary>
    /// <param name="directory">An existing folder.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="InvalidOperationException">
    /// The folder holds a model and the policy saves an adapter, or the other way round.
    /// </exception>
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
    /// Replaces the weights in place by those of a checkpoint, or only the adapter if the policy has one. An optimizer that holds the
    /// parameters stays valid.
    /// </summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is damaged, or of a model or adapter of another shape. If the configuration, a name or a shape is
    /// wrong, no weight has changed.
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
    /// Adds the adapter to the weights, W ← W + scale · B·A, so that passes cost no more than without an adapter. <see cref="Save"/> then
    /// writes an ordinary checkpoint.
    /// </summary>
    /// <remarks>
    /// A merged adapter cannot be trained. Main memory keeps the original weights until <see cref="UnmergeAdapter"/>. Log-probs equal those
    /// of the adapter up to the rounding of the weights' type: about 1e-6 in float32, a few hundredths in bfloat16.
    /// </remarks>
    /// <exception cref="InvalidOperationException">There is no adapter, it is already merged, or the base is in 4 bits.</exception>
    public void MergeAdapter() => Adapter().Merge();

    /// <summary>Restores the weights of the base, bit for bit, after <see cref="MergeAdapter"/>.</summary>
    /// <exception cref="InvalidOperationException">There is no adapter, or it is not merged.</exception>
    public void UnmergeAdapter() => Adapter().Unmerge();

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">The fraction is not above 0.</exception>
    public bool HasMoved(double fraction)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(fraction);
        return Alive.Adapter?.HasMoved(fraction) ?? false;
    }

    /// <summary>
    /// Creates a policy from the numbers that a base in 4 bits stands for (<see cref="QwenLoadOptions.FourBitBase"/>), with a copy of the
    /// adapter. It computes the same as this policy, and its adapter can be merged.
    /// </summary>
    /// <param name="device">The device of the copy; null means the device of this policy.</param>
    /// <returns>The policy. The caller disposes it.</returns>
    /// <exception cref="InvalidOperationException">The policy has no base in 4 bits.</exception>
    public QwenPolicy Dequantize(Device? device = null) => new(Alive.Dequantize(device), _saveCompanions) { SaveTemplate = SaveTemplate };

    /// <summary>Frees the model.</summary>
    public void Dispose() => Model.Dispose();

    private LoraAdapter Adapter() => Alive.Adapter
        ?? throw new InvalidOperationException(
            $"The policy has no adapter. Load it with {nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.Lora)}.");
}
