using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Grpo.Hub;

/// <summary>An address that the hub names for a step of an upload, and the headers to send there.</summary>
internal sealed record LfsAction(Uri Address, IReadOnlyDictionary<string, string> Headers);

/// <summary>The hub's instructions for the upload of one large file.</summary>
/// <param name="Upload">Where the file goes; with parts, where they are declared complete.</param>
/// <param name="PartBytes">The size of a part; the size of the file without parts.</param>
/// <param name="Parts">The address of each part; empty without parts.</param>
/// <param name="Verify">Where the upload is confirmed; null if the hub does not ask for it.</param>
internal sealed record LfsInstructions(LfsAction Upload, long PartBytes, IReadOnlyList<Uri> Parts, LfsAction? Verify);

/// <summary>Asks the hub how to upload a large file (the batch API of git LFS), and checks the answer.</summary>
/// <param name="connection">The connection to the hub.</param>
/// <param name="answers">Reads the answers.</param>
/// <param name="id">The repository.</param>
/// <param name="branch">The branch that the file is for; null to name none.</param>
internal sealed partial class LfsBatch(HubConnection connection, HubAnswers answers, HubRepositoryId id, string? branch)
{
    // The limit of the stores; a longer list would be no answer for this file.
    private const int MaxParts = 10_000;
    private const int MaxHeaders = MaxParts + 64;
    private const int MaxText = 8192;

    /// <summary>Returns the instructions; null if the hub has the file already.</summary>
    public Task<LfsInstructions?> AskAsync(LocalFile file, CancellationToken cancellationToken)
    {
        byte[] json = HubWriting.Json(writer =>
        {
            writer.WriteString("operation", "upload");
            writer.WriteStartArray("transfers");
            writer.WriteStringValue("basic");
            writer.WriteStringValue("multipart");
            writer.WriteEndArray();
            writer.WriteString("hash_algo", "sha256");
            if (branch is not null)
            {
                writer.WriteStartObject("ref");
                writer.WriteString("name", branch);
                writer.WriteEndObject();
            }

            writer.WriteStartArray("objects");
            writer.WriteStartObject();
            writer.WriteString("oid", file.Sha256);
            writer.WriteNumber("size", file.Size);
            writer.WriteEndObject();
            writer.WriteEndArray();
        });
        return answers.AskAsync(
            UploadContents.Lfs(json, HubBody.NoHeaders),
            $"{id.WebPath}.git/info/lfs/objects/batch",
            $"the upload of '{file.Path}' to '{id}'",
            answer => Read(answer, file),
            cancellationToken);
    }

    private LfsInstructions? Read(HubJson json, LocalFile file)
    {
        string? transfer = json.Root.TryGetProperty("transfer", out JsonElement named) ? json.Text(named, "transfer") : null;
        if (transfer is not (null or "basic" or "multipart"))
        {
            throw json.Error("'transfer' must be 'basic' or 'multipart', which are what was offered.");
        }

        JsonElement[] objects = [.. json.Require(json.Root, "objects", JsonValueKind.Array).EnumerateArray()];
        JsonElement only = objects.Length == 1 ? objects[0] : throw json.Error($"It describes {objects.Length} files; 1 was asked for.");
        if (json.Text(json.Require(only, "oid", JsonValueKind.String), "oid") != file.Sha256
            || !json.Require(only, "size", JsonValueKind.Number).TryGetInt64(out long size) || size != file.Size)
        {
            throw json.Error($"It describes another file than '{file.Path}': hash or size differ.");
        }

        if (only.TryGetProperty("error", out JsonElement error) && error.ValueKind != JsonValueKind.Null)
        {
            string said = error.ValueKind == JsonValueKind.Object && error.TryGetProperty("message", out JsonElement message)
                && message.ValueKind == JsonValueKind.String
                ? $": \"{answers.Shorten(message.GetString()!)}\""
                : "";
            throw new HubException($"The hub does not take '{file.Path}'{said}. Nothing was committed.");
        }

        // Without an upload the hub has the file.
        if (!only.TryGetProperty("actions", out JsonElement actions) || actions.ValueKind == JsonValueKind.Null
            || !json.RequireObject(actions, "'actions'").TryGetProperty("upload", out JsonElement upload))
        {
            return null;
        }

        return Instructions(json, upload, Verify(actions), file, transfer);
    }

    private static JsonElement? Verify(JsonElement actions) =>
        actions.TryGetProperty("verify", out JsonElement verify) && verify.ValueKind != JsonValueKind.Null ? verify : null;

    private LfsInstructions Instructions(HubJson json, JsonElement upload, JsonElement? verify, LocalFile file, string? transfer)
    {
        Dictionary<string, string> headers = Headers(json, upload);
        var action = new LfsAction(Address(json, json.Require(upload, "href", JsonValueKind.String)), Sendable(headers));
        LfsAction? confirmation = verify is { } given
            ? new LfsAction(Address(json, json.Require(given, "href", JsonValueKind.String)), Sendable(Headers(json, given)))
            : null;
        if (!headers.TryGetValue("chunk_size", out string? chunk))
        {
            return transfer == "multipart"
                ? throw json.Error("It names no 'chunk_size' for a transfer in parts.")
                : new LfsInstructions(action, file.Size, [], confirmation);
        }

        if (!long.TryParse(chunk, NumberStyles.None, CultureInfo.InvariantCulture, out long bytes) || bytes < 1)
        {
            throw json.Error("'chunk_size' is not a number of bytes.");
        }

        long count = ((file.Size - 1) / bytes) + 1;
        int named = headers.Keys.Count(name => name.All(char.IsAsciiDigit));
        if (count != named || count > MaxParts)
        {
            throw json.Error(
                $"It names {named} parts of {bytes} bytes for a file of {file.Size} bytes, which takes {count} (at most {MaxParts}).");
        }

        // The hub pads the numbers with zeros.
        Dictionary<long, string> byNumber = [];
        foreach ((string name, string address) in headers.Where(header => header.Key.All(char.IsAsciiDigit)))
        {
            if (!long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out long number) || number < 1 || number > count
                || !byNumber.TryAdd(number, address))
            {
                throw json.Error($"The parts must be numbered 1 to {count}, each once.");
            }
        }

        return new LfsInstructions(
            action with { Headers = HubBody.NoHeaders },
            bytes,
            [.. byNumber.OrderBy(part => part.Key).Select(part => Address(json, part.Value))],
            confirmation);
    }

    private static Dictionary<string, string> Headers(HubJson json, JsonElement action)
    {
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        bool hasHeaders = json.RequireObject(action, "An action").TryGetProperty("header", out JsonElement given);
        if (!hasHeaders || given.ValueKind == JsonValueKind.Null)
        {
            return headers;
        }

        foreach (JsonProperty header in json.RequireObject(given, "'header'").EnumerateObject())
        {
            string value = json.Text(header.Value, "A header");
            if (headers.Count == MaxHeaders || value.Length > MaxText || value.Any(char.IsControl) || !headers.TryAdd(header.Name, value))
            {
                throw json.Error("'header' is too long, names a header twice, or holds what is no header.");
            }
        }

        return headers;
    }

    // Others, such as Host or Content-Length, are for this library to set.
    private Dictionary<string, string> Sendable(Dictionary<string, string> headers)
    {
        Dictionary<string, string> sendable = new(headers.Where(header => SendableName().IsMatch(header.Key)));
        foreach (string value in sendable.Values)
        {
            connection.Settings.Secret.Refuse(value, "a header for another host");
        }

        return sendable;
    }

    private Uri Address(HubJson json, JsonElement value) => Address(json, json.Text(value, "href"));

    private Uri Address(HubJson json, string text)
    {
        if (text.Length > MaxText || !Uri.TryCreate(text, UriKind.Absolute, out Uri? address) || address.UserInfo.Length > 0)
        {
            throw json.Error("It names an upload address that is none.");
        }

        connection.Settings.Secret.Refuse(text, "the address of an upload");
        return connection.MaySendTo(address)
            ? address
            : throw new HubException(
                $"The hub wants '{address.Scheme}://{address.Host}' to get the file, which is not https. Nothing was sent there.");
    }

    [GeneratedRegex(@"\A(?:x-[a-z0-9-]{1,100}|authorization)\z", RegexOptions.IgnoreCase | RegexOptions.NonBacktracking)]
    private static partial Regex SendableName();
}
