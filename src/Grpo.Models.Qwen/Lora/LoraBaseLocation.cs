using System.Text.Json;
using Grpo.Hub;
using Grpo.IO;
using Grpo.Models.Qwen.Config;
using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen.Lora;

/// <summary>
/// Keeps the path of a base on this machine out of <c>adapter_config.json</c>: the configuration names the base so that others can find it,
/// and a file of its own says where the folder is here.
/// </summary>
/// <remarks>The file is for this machine only. Leave it out when you publish the adapter.</remarks>
internal static class LoraBaseLocation
{
    internal const string FileName = "base_model_location.json";

    private const string NameField = "base_model_name_or_path";
    private const string FolderField = "folder";
    private const long MaxBytes = 1 << 16;

    private static readonly JsonWriterOptions Indented = new() { Indented = true, NewLine = "\n" };

    /// <summary>True if the name is a full path on this machine or, as PEFT on Windows writes it, on another.</summary>
    private static bool IsPath(string name) =>
        Path.IsPathRooted(name) || name.StartsWith('~') || name.Contains('\\', StringComparison.Ordinal);

    /// <summary>Names a base for others.</summary>
    /// <remarks>
    /// A hub id stays, and so does a path relative to the adapter, such as ../base. For a full path in the hub's cache, the name is the id
    /// and commit. For another one, it is the hub id that the folder's <c>config.json</c> records, or else only the last part of the path.
    /// </remarks>
    internal static LoraBaseModel Publish(LoraBaseModel model)
    {
        if (!IsPath(model.Name))
        {
            return model;
        }

        string[] parts = model.Name.Split('/', '\\', StringSplitOptions.RemoveEmptyEntries);
        if (parts is [.., var cached, "snapshots", var commit] && cached.Split("--") is ["models", var owner, var name])
        {
            return new LoraBaseModel($"{owner}/{name}", commit);
        }

        return RecordedId(model.Name) is { } id
            ? new LoraBaseModel(id)
            : new LoraBaseModel(parts is [] or [.., "." or ".." or "~"] ? "base" : parts[^1]);
    }

    /// <summary>Writes the location of a local base beside the adapter, and removes one of an earlier adapter.</summary>
    internal static void Save(string directory, LoraBaseModel? model)
    {
        string path = Path.Combine(directory, FileName);
        if (model is null || Publish(model) == model)
        {
            File.Delete(path);
            return;
        }

        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Indented))
        {
            json.WriteStartObject();
            json.WriteString(NameField, Publish(model).Name);
            json.WriteString(FolderField, model.Name);
            json.WriteEndObject();
        }

        File.WriteAllBytes(path, stream.ToArray());
    }

    /// <summary>Returns the base of a saved adapter: its folder on this machine if it is recorded, else as it is named.</summary>
    /// <param name="directory">The folder of the adapter.</param>
    /// <param name="named">The base in <c>adapter_config.json</c>.</param>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    internal static LoraBaseModel Find(string directory, LoraBaseModel named)
    {
        var file = new FileInfo(Path.Combine(directory, FileName));
        if (!file.Exists)
        {
            return named;
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"'{file.FullName}' has {file.Length} bytes; at most {MaxBytes} are read. Delete the file.");
        }

        using var json = new JsonFile(file.FullName, File.ReadAllBytes(file.FullName));
        string name = json.Require(json.Root, NameField, JsonValueKind.String).GetString()!;
        string folder = json.Require(json.Root, FolderField, JsonValueKind.String).GetString()!;
        // A configuration that was edited since counts more. A base that has moved may still be found on the hub.
        bool isThere = Directory.Exists(folder) || Directory.Exists(Path.Combine(directory, folder));
        return name == named.Name && (isThere || !HubClient.IsId(named.Name)) ? new LoraBaseModel(folder) : named;
    }

    /// <summary>Logs a warning if others cannot find the base of a new adapter by its name.</summary>
    internal static void Report(LoraBaseModel model, ILogger? logger)
    {
        if (logger is not null && Publish(model).Name is var name && !HubClient.IsId(name))
        {
            logger.NoBaseId(model.Name, name);
        }
    }

    // transformers 4 writes the id into the configuration; a path may stand there too.
    private static string? RecordedId(string folder)
    {
        string path = Path.Combine(folder, DecoderConfigFile.FileName);
        if (!File.Exists(path) || new FileInfo(path).Length > 1 << 20)
        {
            return null;
        }

        try
        {
            using var json = new JsonFile(path, File.ReadAllBytes(path));
            return JsonFile.TryGet(json.Root, "_name_or_path", out JsonElement value) && value.ValueKind == JsonValueKind.String
                && value.GetString() is { } id && HubClient.IsId(id) ? id : null;
        }
        catch (InvalidDataException)
        {
            return null; // a damaged configuration is reported where the model is read
        }
    }
}

internal static partial class LoraLog
{
    [LoggerMessage(
        EventId = 421,
        Level = LogLevel.Warning,
        Message = "The base '{Folder}' records no hub id, so the adapter names its base '{Name}', which other programs cannot find. "
            + "Where you publish the adapter, set base_model_name_or_path in adapter_config.json.")]
    public static partial void NoBaseId(this ILogger logger, string folder, string name);
}
