using Grpo.Hub;
using Grpo.IO;
using Grpo.Models.Qwen.Lora;

namespace Grpo.Models.Qwen.Weights;

/// <summary>The origin of a model: a folder or a hub id, and optionally the folder of an adapter.</summary>
/// <param name="FolderOrHubId">The folder or hub id of the model without the adapter.</param>
/// <param name="Revision">The revision of a hub id.</param>
/// <param name="Adapter">The folder of the adapter; null if there is none.</param>
internal sealed record PretrainedSource(string FolderOrHubId, string Revision, string? Adapter)
{
    /// <summary>
    /// The name of the model in the files of an adapter that is trained on it. A folder has its full path, because a relative one depends
    /// on the working directory.
    /// </summary>
    internal LoraBaseModel BaseModel => Directory.Exists(FolderOrHubId)
        ? new LoraBaseModel(Path.GetFullPath(FolderOrHubId))
        : new LoraBaseModel(FolderOrHubId, Revision);

    /// <summary>The name of the model for others: the hub id, or the last name of the folder.</summary>
    internal string PortableName => LoraBaseLocation.Publish(BaseModel).Name;

    /// <summary>Finds out whether a folder is a model or an adapter, and checks the options.</summary>
    /// <exception cref="ArgumentException">The options contradict each other, or an option of the adapter is out of range.</exception>
    /// <exception cref="InvalidDataException">The configuration of the adapter is damaged, not supported, or names no base.</exception>
    internal static PretrainedSource From(string folderOrHubId, QwenLoadOptions options)
    {
        options.Lora?.ThrowIfInvalid(nameof(options));
        bool isAdapter = Directory.Exists(folderOrHubId) && LoraAdapterFiles.IsAdapter(folderOrHubId);
        if (isAdapter && options.Adapter is not null)
        {
            throw new ArgumentException(
                $"'{folderOrHubId}' is itself an adapter, but the options name '{options.Adapter}' as well. "
                + "Give the base model and one adapter.",
                nameof(options));
        }

        if (options.FourBitBase && !isAdapter && options is { Adapter: null, Lora: null })
        {
            throw new ArgumentException(
                "FourBitBase is true, but there is no adapter, and weights in 4 bits cannot be trained. Set Lora, or Adapter to the folder "
                + "of an adapter; to train all weights, leave FourBitBase out.",
                nameof(options));
        }

        if (options is { FourBitBase: true, Int8Rollouts: true })
        {
            throw new ArgumentException(
                "FourBitBase and Int8Rollouts are both true, but rollouts use the base's own 4 bits, which are not rounded again. Leave "
                + "one of the two out.",
                nameof(options));
        }

        if (options is { WithReference: true, ReferenceDevice: { } device }
            && (isAdapter || options.Adapter is not null || options.Lora is not null))
        {
            throw new ArgumentException(
                $"ReferenceDevice is '{device}', but with an adapter the reference is the policy's own base with the adapter off: "
                + "there is no copy that could be elsewhere. Leave ReferenceDevice out.",
                nameof(options));
        }

        return isAdapter
            ? FromAdapter(folderOrHubId, options.Revision)
            : new PretrainedSource(folderOrHubId, options.Revision, options.Adapter);
    }

    /// <summary>Returns the folder of the model. A hub id is downloaded first.</summary>
    /// <exception cref="DirectoryNotFoundException">The text is neither a folder nor a hub id.</exception>
    internal Task<string> ResolveAsync(IProgress<HubProgress>? progress, CancellationToken cancellationToken) =>
        ResolveAsync(HubClient.DownloadAsync, progress, cancellationToken);

    /// <summary>Returns the folder of the model's configuration. Of a hub id only the configuration is downloaded.</summary>
    /// <exception cref="DirectoryNotFoundException">The text is neither a folder nor a hub id.</exception>
    internal Task<string> ResolveConfigAsync(IProgress<HubProgress>? progress, CancellationToken cancellationToken) =>
        ResolveAsync(HubClient.DownloadConfigAsync, progress, cancellationToken);

    private async Task<string> ResolveAsync(
        Func<string, HubOptions?, CancellationToken, Task<string>> download, IProgress<HubProgress>? progress,
        CancellationToken cancellationToken)
    {
        if (Directory.Exists(FolderOrHubId))
        {
            return Path.GetFullPath(FolderOrHubId);
        }

        string shown = TerminalText.EscapeLine(FolderOrHubId);
        if (File.Exists(FolderOrHubId))
        {
            throw new DirectoryNotFoundException(
                $"'{shown}' is a file. Name the folder that holds it, with config.json, the weights and the tokenizer.");
        }

        if (!HubClient.IsId(FolderOrHubId))
        {
            string origin = Adapter is null
                ? ""
                : $" The adapter in '{Adapter}' may name it as its base; where the base has moved, load "
                    + "it by name with the option Adapter.";
            throw new DirectoryNotFoundException(
                $"There is no folder '{shown}', and it is not a hub id such as Qwen/Qwen2.5-1.5B-Instruct (owner/name).{origin}");
        }

        var hub = new HubOptions { Revision = Revision, Progress = progress };
        try
        {
            return await download(FolderOrHubId, hub, cancellationToken).ConfigureAwait(false);
        }
        catch (HubException exception) when (FolderOrHubId.Split('/')[0] is var parent && Directory.Exists(parent))
        {
            // A text of the form owner/name may also be a mistyped folder.
            throw new HubException(
                $"There is no folder '{shown}' (the folder '{parent}' is here, but not that one in it), so it was "
                + $"taken for a hub id. {exception.Message}",
                exception.InnerException);
        }
    }

    private static PretrainedSource FromAdapter(string folder, string revision)
    {
        if (LoraAdapterFiles.BaseOf(folder) is not { } named)
        {
            throw new InvalidDataException(
                $"The adapter in '{folder}' does not name its base model. Load the base and name this folder in the option Adapter.");
        }

        // The adapter's folder is searched first: a folder that is moved together with its base stays valid.
        string beside = Path.Combine(folder, named.Name);
        return new PretrainedSource(Directory.Exists(beside) ? beside : named.Name, named.Revision ?? revision, folder);
    }
}
