using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Quantization;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Weights;

/// <summary>
/// Reads and writes checkpoints of Qwen2, Qwen3 and Llama in Hugging Face format: <c>config.json</c> with <c>model.safetensors</c> or
/// several weight files and an index.
/// </summary>
public static class QwenWeights
{
    private const string WeightsFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";

    /// <summary>Loads the model of a checkpoint folder.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <param name="device">The device of the weights; null means the CPU.</param>
    /// <param name="type">
    /// The type of the weights in memory, to which the stored ones are converted. Default float32, because training in 16
    /// bits loses small updates.
    /// </param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="FileNotFoundException"><c>config.json</c> or the weights are missing.</exception>
    /// <exception cref="InvalidDataException">
    /// The configuration is not of a supported model, a file is damaged, or names or shapes do not fit; the message lists every problem.
    /// </exception>
    public static CausalLM Load(string directory, Device? device = null, ScalarType type = ScalarType.Float32) =>
        Read(directory, device, type, fourBitBase: false);

    /// <summary>
    /// Loads the model of a checkpoint folder as the base of an adapter, with its projections in 4 bits
    /// (<see cref="QwenLoadOptions.FourBitBase"/>). They are rounded one at a time, so the model is never in memory as a whole. All weights
    /// are frozen: without an adapter nothing can be trained.
    /// </summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <param name="device">The device of the weights; null means the CPU.</param>
    /// <param name="type">The type of the other weights in memory, and that of the computations.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="FileNotFoundException"><c>config.json</c> or the weights are missing.</exception>
    /// <exception cref="InvalidDataException">
    /// The configuration is not of a supported model, a file is damaged, names or shapes do not fit, or a weight holds NaN or infinity.
    /// </exception>
    public static CausalLM LoadInFourBits(string directory, Device? device = null, ScalarType type = ScalarType.Float32) =>
        Read(directory, device, type, fourBitBase: true);

    internal static CausalLM Read(string directory, Device? device, ScalarType type, bool fourBitBase)
    {
        DecoderConfig config = DecoderConfig.Load(directory);
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(directory);
        // Checked before allocating: a configuration that claims a huge model must have weights of that size.
        RequireMatch(config, checkpoint, directory);
        TorchBackend.EnsureAvailable();
        var model = new CausalLM(config, device, type, fourBitBase);
        try
        {
            Fill(model, checkpoint);
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Replaces the weights of a model in place by those of a checkpoint of the same shape and of any stored type.</summary>
    /// <param name="model">The model. It keeps its device, its type and its adapter.</param>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <exception cref="InvalidOperationException">An adapter is merged into the weights.</exception>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is damaged or of a model of another shape. If the configuration, a name or a shape is wrong, no weight has changed.
    /// </exception>
    public static void LoadInto(CausalLM model, string directory)
    {
        ArgumentNullException.ThrowIfNull(model);
        model.Adapter?.ThrowIfMerged("they cannot be replaced");
        DecoderConfig config = DecoderConfig.Load(directory);
        if (model.Config.DifferenceFrom(config) is { } difference)
        {
            throw new InvalidDataException(
                $"The checkpoint in '{directory}' does not fit the model: {difference}. Load it as a model of its own instead.");
        }

        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(directory);
        RequireMatch(model.Config, checkpoint, directory);
        Fill(model, checkpoint);
    }

    /// <summary>
    /// Writes <c>config.json</c> and <c>model.safetensors</c>, for this library and transformers, and overwrites existing ones.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="directory">An existing folder.</param>
    /// <param name="type">The type to store: float32, bfloat16 or float16. Only float32 preserves a float32 model exactly.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="ArgumentException">The type cannot be stored.</exception>
    /// <exception cref="InvalidOperationException">
    /// The model has an adapter that is not merged, so that its weights alone are not the model; or the folder holds an adapter.
    /// </exception>
    public static void Save(CausalLM model, string directory, ScalarType type = ScalarType.Float32)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(directory);
        string typeName = type switch
        {
            ScalarType.Float32 => "float32",
            ScalarType.BFloat16 => "bfloat16",
            ScalarType.Float16 => "float16",
            _ => throw new ArgumentException($"Weights can be stored as Float32, BFloat16 or Float16, not as {type}.", nameof(type)),
        };
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException($"There is no folder '{directory}' to save the model in. Create it first.");
        }

        if (model.Adapter is { IsMerged: false })
        {
            throw new InvalidOperationException(
                "The model has an adapter that is not merged: its weights alone are those of the base. "
                + $"Merge it first, or save it with {nameof(LoraAdapterFiles)}.{nameof(LoraAdapterFiles.Save)}.");
        }

        if (model.HasFourBitBase)
        {
            throw new InvalidOperationException(
                "The base is in 4 bits, which a checkpoint does not hold. Save a copy of "
                + $"{nameof(QwenPolicy)}.{nameof(QwenPolicy.Dequantize)}.");
        }

        if (LoraAdapterFiles.IsAdapter(directory))
        {
            throw new InvalidOperationException($"'{directory}' holds an adapter; save the model in a folder of its own.");
        }

        using (var scope = TensorScope.BeginNoGrad())
        {
            // If the type is the same, `to` copies nothing.
            SafetensorsWriter.Write(
                Path.Combine(directory, WeightsFile),
                model.BaseParameters().Select(named => KeyValuePair.Create(named.Name, named.Parameter.to(type))).ToList());
        }

        string config = (model.Config with { StoredType = typeName }).ToJson();
        File.WriteAllText(Path.Combine(directory, DecoderConfigFile.FileName), config);
        // Without the index no reader looks at the weight files of an earlier checkpoint.
        File.Delete(Path.Combine(directory, IndexFile));
    }

    /// <summary>Returns the type in which a checkpoint's weights are stored.</summary>
    internal static ScalarType StoredType(DecoderConfig config) => config.StoredType switch
    {
        "float32" => ScalarType.Float32,
        "bfloat16" => ScalarType.BFloat16,
        "float16" => ScalarType.Float16,
        _ => throw new ArgumentException(
            $"torch_dtype is \"{config.StoredType}\" but must be float32, float16 or bfloat16.", nameof(config)),
    };

    private static void Fill(CausalLM model, SafetensorsCheckpoint checkpoint)
    {
        foreach ((string name, Parameter parameter) in model.BaseParameters())
        {
            checkpoint.ReadInto(name, parameter);
        }

        foreach ((string name, Nf4Weight weight) in model.PackedWeights())
        {
            using var scope = TensorScope.BeginNoGrad();
            try
            {
                weight.Quantize(checkpoint.Read(name));
            }
            catch (InvalidDataException exception)
            {
                throw new InvalidDataException($"{name}: {exception.Message}", exception);
            }
        }
    }

    internal static void RequireMatch(DecoderConfig config, SafetensorsCheckpoint checkpoint, string directory)
    {
        var match = new CheckpointMatch(checkpoint.Entries);
        foreach ((string name, long[] shape) in DecoderParameters.List(config))
        {
            match.Require(name, shape);
        }

        if (config.TieWordEmbeddings)
        {
            match.Allow(DecoderParameters.Head, [config.VocabularySize, config.HiddenSize]);
        }

        match.ThrowIfAny($"The weights in '{directory}' do not fit its config.json.", DecoderParameters.IsRedundant);
        if (config.TieWordEmbeddings && checkpoint.Entries.ContainsKey(DecoderParameters.Head))
        {
            RequireTied(checkpoint, directory);
        }
    }

    // A second copy of the embedding is harmless. A different output layer means that the flag is wrong, and the model would compute
    // something else.
    private static void RequireTied(SafetensorsCheckpoint checkpoint, string directory)
    {
        const int Rows = 4096; // compared at a time, so that little is held in float64
        TorchBackend.EnsureAvailable();
        using var scope = TensorScope.BeginNoGrad();
        Tensor embedding = checkpoint.Read(DecoderParameters.Embedding);                                  // [V, H]
        Tensor head = checkpoint.Read(DecoderParameters.Head);                                            // [V, H]
        for (long first = 0; first < head.shape[0]; first += Rows)
        {
            using var part = TensorScope.BeginNoGrad();
            long count = Math.Min(Rows, head.shape[0] - first);
            Tensor embedded = embedding.narrow(0, first, count).to(ScalarType.Float64);                 // [rows, H]
            if (DeviceTransfer.ToNumber<bool>(head.narrow(0, first, count).to(ScalarType.Float64).ne(embedded).any()))
            {
                throw new InvalidDataException(
                    $"The weights in '{directory}' do not fit its config.json: {DecoderParameters.Head} differs from "
                    + $"{DecoderParameters.Embedding}, but tie_word_embeddings is true. If the model has an output layer of its own, set "
                    + "tie_word_embeddings to false; else remove the tensor.");
            }
        }
    }
}
