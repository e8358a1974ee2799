using System.Globalization;
using Grpo.IO;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Weights;

/// <summary>
/// Reads and writes LoRA adapters in PEFT's format: <c>adapter_config.json</c>, and <c>adapter_model.safetensors</c> with
/// <c>base_model.model.&lt;module&gt;.lora_A.weight</c> [r, in] and <c>lora_B.weight</c> [out, r].
/// </summary>
/// <remarks>
/// The configuration holds no path of this machine. If the base is a local folder, it is named by its hub id if that is known, or else by
/// its last name, and <c>base_model_location.json</c> says where it is.
/// </remarks>
public static class LoraAdapterFiles
{
    private const string WeightsFile = "adapter_model.safetensors";
    internal const string NamePrefix = "base_model.model.";
    private const string PassesKey = "grpo_training_passes";
    private const string BaseKey = "grpo_base_in_4_bits"; // not in the configuration: PEFT refuses fields that it does not know

    /// <summary>True if a folder holds an adapter.</summary>
    /// <param name="directory">The folder.</param>
    public static bool IsAdapter(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        return File.Exists(Path.Combine(directory, LoraConfigFile.FileName));
    }

    /// <summary>Adds the adapter of a folder to a model. The adapter can be trained further.</summary>
    /// <param name="model">The base of the adapter. Only the shapes of its weights can be checked, not their values.</param>
    /// <param name="directory">The folder of the adapter.</param>
    /// <param name="training">
    /// The options for further training. Dropout and seed are free; rank, scale and target modules must equal those of the file. Null means
    /// no dropout, whatever the adapter was trained with.
    /// </param>
    /// <returns>The adapter, also in <see cref="CausalLM.Adapter"/>.</returns>
    /// <exception cref="FileNotFoundException">One of the two files is missing.</exception>
    /// <exception cref="InvalidDataException">
    /// The configuration is not supported, a file is damaged, or names or shapes do not fit the model; the message lists every problem. The
    /// model is unchanged.
    /// </exception>
    /// <exception cref="InvalidOperationException">The model already has an adapter.</exception>
    public static LoraAdapter AddTo(CausalLM model, string directory, LoraOptions? training = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrEmpty(directory);
        (LoraOptions options, LoraBaseModel? baseModel) = LoraConfigFile.Load(directory);
        if (training?.DifferenceFrom(options) is { } difference)
        {
            throw new InvalidDataException($"The adapter in '{directory}' is not the one that was asked for: {difference}.");
        }

        // Checked before allocating: a configuration that claims a huge rank must have weights of that size.
        using SafetensorsReader file = Open(model.Config, options, directory);
        long passes = TrainingPasses(file);
        LoraAdapter adapter = model.AddAdapter(training ?? options with { Dropout = 0 }, baseModel);
        Fill(adapter, file, passes);
        return adapter;
    }

    /// <summary>Replaces the weights of a model's adapter in place. An optimizer that holds them stays valid.</summary>
    /// <param name="model">A model with an adapter of the same rank, scale and layers.</param>
    /// <param name="directory">The folder of the adapter.</param>
    /// <exception cref="FileNotFoundException">One of the two files is missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or the files are of another adapter. No weight has changed.</exception>
    /// <exception cref="InvalidOperationException">The model has no adapter, or it is merged.</exception>
    public static void LoadInto(CausalLM model, string directory)
    {
        LoraAdapter adapter = AdapterOf(model);
        ArgumentException.ThrowIfNullOrEmpty(directory);
        adapter.ThrowIfMerged("another cannot be loaded");
        (LoraOptions options, _) = LoraConfigFile.Load(directory);
        if (adapter.Options.DifferenceFrom(options) is { } difference)
        {
            throw new InvalidDataException(
                $"The adapter in '{directory}' does not fit the model's: {difference}. Load it onto a model of its own instead.");
        }

        using SafetensorsReader file = Open(model.Config, options, directory);
        Fill(adapter, file, TrainingPasses(file));
    }

    /// <summary>Writes a model's adapter, for this library and PEFT, and overwrites one that is already in the folder.</summary>
    /// <param name="model">A model with an adapter that is not merged.</param>
    /// <param name="directory">An existing folder without a whole model in it.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="InvalidOperationException">
    /// The model has no adapter, the adapter is merged, or the folder holds a whole model, so that a reader could not tell which
    /// of the two is meant.
    /// </exception>
    public static void Save(CausalLM model, string directory)
    {
        LoraAdapter adapter = AdapterOf(model);
        ArgumentException.ThrowIfNullOrEmpty(directory);
        adapter.ThrowIfMerged("it is no longer apart from them");
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException($"There is no folder '{directory}' to save the adapter in. Create it first.");
        }

        if (File.Exists(Path.Combine(directory, DecoderConfigFile.FileName)))
        {
            throw new InvalidOperationException($"'{directory}' holds a whole model; save the adapter in a folder of its own.");
        }

        // The random numbers of dropout continue after loading. Without dropout the file depends on weights and base only.
        var metadata = new Dictionary<string, string>();
        if (adapter.Options.Dropout > 0)
        {
            metadata[PassesKey] = adapter.TrainingPasses.ToString(CultureInfo.InvariantCulture);
        }

        if (model.HasFourBitBase)
        {
            metadata[BaseKey] = "NF4";
        }

        SafetensorsWriter.Write(
            Path.Combine(directory, WeightsFile),
            [.. adapter.Parameters().Select(named => KeyValuePair.Create<string, Tensor>(NamePrefix + named.Name, named.Parameter))],
            metadata.Count == 0 ? null : metadata);
        File.WriteAllText(Path.Combine(directory, LoraConfigFile.FileName), LoraConfigFile.Write(adapter.Options, adapter.BaseModel));
        LoraBaseLocation.Save(directory, adapter.BaseModel);
    }

    /// <summary>True if the adapter was trained on a base in 4 bits.</summary>
    internal static bool HasFourBitBase(SafetensorsReader adapter) => adapter.Metadata.ContainsKey(BaseKey);

    /// <summary>Returns the base that a folder's adapter names; null if it names none.</summary>
    /// <exception cref="InvalidDataException">The configuration is damaged or not supported.</exception>
    internal static LoraBaseModel? BaseOf(string directory) => LoraConfigFile.Load(directory).Base;

    /// <summary>True if a folder's adapter was trained on a base in 4 bits.</summary>
    internal static bool HasFourBitBase(string directory)
    {
        using SafetensorsReader file = SafetensorsReader.Open(Path.Combine(directory, WeightsFile));
        return HasFourBitBase(file);
    }

    private static LoraAdapter AdapterOf(CausalLM model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return model.Adapter
            ?? throw new InvalidOperationException($"The model has no adapter. Give it one with {nameof(CausalLM.AddAdapter)}.");
    }

    internal static SafetensorsReader Open(DecoderConfig config, LoraOptions options, string directory)
    {
        string path = Path.Combine(directory, WeightsFile);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException(
                $"No {WeightsFile} in '{directory}'. Other formats, such as adapter_model.bin, are not read.", path);
        }

        SafetensorsReader file = SafetensorsReader.Open(path);
        try
        {
            var match = new CheckpointMatch(file.Entries);
            foreach ((string name, long[] shape) in Expected(config, options))
            {
                match.Require(name, shape);
            }

            match.ThrowIfAny($"The weights in '{path}' do not fit the model and {LoraConfigFile.FileName}.");
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static IEnumerable<(string Name, long[] Shape)> Expected(DecoderConfig config, LoraOptions options)
    {
        const string Weight = ".weight";
        foreach ((string name, long[] shape) in DecoderParameters.List(config)
            .Where(entry => entry.Name.EndsWith(Weight, StringComparison.Ordinal)))
        {
            string module = name[..^Weight.Length];
            if (options.TargetModules.Contains(module[(module.LastIndexOf('.') + 1)..]))
            {
                yield return ($"{NamePrefix}{module}.{LoraAdapter.DownName}.weight", [options.Rank, shape[1]]);
                yield return ($"{NamePrefix}{module}.{LoraAdapter.UpName}.weight", [shape[0], options.Rank]);
            }
        }
    }

    private static long TrainingPasses(SafetensorsReader file)
    {
        if (!file.Metadata.TryGetValue(PassesKey, out string? text))
        {
            return 0;
        }

        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long passes)
            ? passes
            : throw new InvalidDataException(
                $"'{file.Path}': {PassesKey} must be a whole number of at least 0 but is "
                + $"'{TerminalText.EscapeLine(text.Length <= 40 ? text : text[..40] + "…")}'.");
    }

    private static void Fill(LoraAdapter adapter, SafetensorsReader file, long passes)
    {
        foreach ((string name, Parameter parameter) in adapter.Parameters())
        {
            file.ReadInto(NamePrefix + name, parameter);
        }

        adapter.TrainingPasses = passes;
    }
}
