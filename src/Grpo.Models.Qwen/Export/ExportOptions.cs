using Grpo.Hub;
using Grpo.Modeling;
using Grpo.Models.Qwen.Export;

namespace Grpo.Models.Qwen;

/// <summary>The file format of an exported model.</summary>
public enum ExportFormat
{
    /// <summary>A folder in Hugging Face layout, for transformers, vLLM and this library.</summary>
    Safetensors,

    /// <summary>One GGUF file with weights, tokenizer and chat template, for llama.cpp, Ollama and LLamaSharp.</summary>
    Gguf,
}

#pragma warning disable CA1720 // three are number types, and named so
/// <summary>The type in which an export stores the matrices of a model. Norms and biases in a GGUF file are always float32.</summary>
public enum ExportType
{
    /// <summary>32 bits: the weights exactly as they were trained.</summary>
    Float32,

    /// <summary>16 bits with 11 significant ones. A weight of 65,520 or more is refused.</summary>
    Float16,

    /// <summary>16 bits with 8 significant ones and the range of float32.</summary>
    BFloat16,

    /// <summary>
    /// 8.5 bits, only in a GGUF file: blocks of 32 weights with one float16 scale. A matrix whose width is not a multiple of 32 is stored
    /// as <see cref="Float16"/>.
    /// </summary>
    Q8,
}
#pragma warning restore CA1720

/// <summary>The options of <see cref="ModelExport"/>.</summary>
public sealed record ExportOptions
{
    /// <summary>The file format.</summary>
    /// <value>Default <see cref="ExportFormat.Safetensors"/>.</value>
    public ExportFormat Format { get; init; } = ExportFormat.Safetensors;

    /// <summary>The type of the matrices.</summary>
    /// <value>Default null: <see cref="ExportType.BFloat16"/> in safetensors and <see cref="ExportType.Float16"/> in GGUF.</value>
    public ExportType? Type { get; init; }

    /// <summary>True to replace an existing model. Other files in its folder stay.</summary>
    /// <value>Default false.</value>
    public bool Overwrite { get; init; }

    /// <summary>The name in the metadata of a GGUF file.</summary>
    /// <value>Default null: the hub id, or the last name of the source folder.</value>
    public string? Name { get; init; }

    /// <summary>
    /// The folder of an adapter to merge. Not needed if the source itself is the folder of an adapter that names its base.
    /// </summary>
    /// <value>Default null.</value>
    public string? Adapter { get; init; }

    /// <summary>The chat template that replaces the source's own, as in <see cref="QwenLoadOptions.ChatTemplate"/>.</summary>
    /// <value>Default null.</value>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>The branch, tag or commit of a hub id.</summary>
    /// <value>Default main.</value>
    public string Revision { get; init; } = "main";

    /// <summary>The receiver of the progress of a download; null for none.</summary>
    public IProgress<HubProgress>? Progress { get; init; }

    /// <summary>The type, or the default of the format.</summary>
    internal ExportType TypeOrDefault => Type ?? (Format == ExportFormat.Gguf ? ExportType.Float16 : ExportType.BFloat16);
}

/// <summary>The result of an export.</summary>
/// <param name="Path">The full path of the folder or file.</param>
/// <param name="Type">The type of the matrices.</param>
/// <param name="TensorCount">The number of tensors.</param>
/// <param name="Bytes">The size of the weights' file.</param>
/// <param name="Warnings">A sentence for each thing that the format cannot express. Empty if there is none.</param>
public sealed record ExportResult(string Path, ExportType Type, int TensorCount, long Bytes, IReadOnlyList<string> Warnings);
