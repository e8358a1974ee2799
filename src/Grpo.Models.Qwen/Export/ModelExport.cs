using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Export;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;

namespace Grpo.Models.Qwen;

/// <summary>
/// Writes a trained model for other programs: a folder for transformers and vLLM, or a GGUF file for llama.cpp, Ollama and LLamaSharp.
/// </summary>
/// <remarks>
/// An adapter is merged into the weights, in float32 and before rounding. Weights are read, merged and written one at a time. The export
/// appears under its name only when it is complete.
/// </remarks>
public static class ModelExport
{
    /// <summary>Exports the model of a folder or the hub, such as a checkpoint of a run. The model is not loaded as a whole.</summary>
    /// <param name="folderOrHubId">A folder, which may be that of an adapter, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="destination">
    /// The folder, or for GGUF the file. A GGUF destination without the ending <c>.gguf</c> is a folder and gets a file
    /// <c>model-TYPE.gguf</c>. Missing folders are created.
    /// </param>
    /// <param name="options">The options; null means the defaults.</param>
    /// <param name="cancellationToken">Cancels the download or the export. Nothing is left behind.</param>
    /// <exception cref="ArgumentException">The destination and the options contradict each other.</exception>
    /// <exception cref="DirectoryNotFoundException">The source is neither a folder nor a hub id.</exception>
    /// <exception cref="FileNotFoundException">The source lacks config.json, the weights or the tokenizer.</exception>
    /// <exception cref="InvalidDataException">A file of the source is damaged, or a weight is too large for the type.</exception>
    /// <exception cref="IOException">
    /// The destination exists and <see cref="ExportOptions.Overwrite"/> is false, or the disk is full.
    /// </exception>
    /// <exception cref="NotSupportedException">The format cannot express the model.</exception>
    public static async Task<ExportResult> SaveAsync(
        string folderOrHubId, string destination, ExportOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folderOrHubId);
        options ??= new ExportOptions();
        ExportTarget target = ExportTarget.Create(destination, options);
        PretrainedSource source = PretrainedSource.From(
            folderOrHubId, new QwenLoadOptions { Adapter = options.Adapter, Revision = options.Revision });
        string directory = await source.ResolveAsync(options.Progress, cancellationToken).ConfigureAwait(false);
        target.RequireElsewhere(directory, source.Adapter);
        TorchBackend.EnsureAvailable();

        TokenizerFiles files = TokenizerFiles.Read(directory);
        var template = CheckpointTemplate.Choose(
            options.ChatTemplate, arguments: null, files, source.Adapter is { } folder ? TokenizerFiles.ReadTemplates(folder) : null);
        QwenTokenizer tokenizer = template.Fit(QwenTokenizer.Create(files));
        using var weights = StoredWeights.Open(directory, source.Adapter);
        QwenPretrained.RequireRoom(weights.Config, tokenizer, directory);
        return new ExportJob(weights, tokenizer, template, options.Name ?? source.PortableName).Write(target, cancellationToken);
    }

    /// <summary>Exports a model in memory. An adapter that is not merged is merged in the export only.</summary>
    /// <param name="pretrained">The model. It is not changed.</param>
    /// <param name="destination">The folder, or for GGUF the file, as in <see cref="SaveAsync"/>.</param>
    /// <param name="options">
    /// The options; null means the defaults. Those that choose the source (adapter, chat template, revision) must be unset.
    /// </param>
    /// <param name="cancellationToken">Cancels the export. Nothing is left behind.</param>
    /// <exception cref="ArgumentException">The options contradict each other or name another source.</exception>
    /// <exception cref="InvalidDataException">A weight is not finite, or too large for the type.</exception>
    /// <exception cref="IOException">
    /// The destination exists and <see cref="ExportOptions.Overwrite"/> is false, or the disk is full.
    /// </exception>
    /// <exception cref="NotSupportedException">The format cannot express the model.</exception>
    public static ExportResult Save(
        QwenPretrained pretrained, string destination, ExportOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(pretrained);
        options ??= new ExportOptions();
        if (options.Adapter is not null || options.ChatTemplate is not null || options.Revision != new ExportOptions().Revision)
        {
            throw new ArgumentException(
                $"{nameof(ExportOptions.Adapter)}, {nameof(ExportOptions.ChatTemplate)} and {nameof(ExportOptions.Revision)} choose the "
                + "source of an export from a folder or the hub, but this model is loaded already. Leave them out.",
                nameof(options));
        }

        ExportTarget target = ExportTarget.Create(destination, options);
        target.RequireElsewhere(pretrained.Directory, adapter: null);
        using var weights = new ModelWeights(pretrained.Policy.Model);
        string name = options.Name ?? new PretrainedSource(pretrained.Directory, "main", Adapter: null).PortableName;
        return new ExportJob(weights, pretrained.Tokenizer, pretrained.CheckpointTemplate, name).Write(target, cancellationToken);
    }
}
