using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>The chat template that the files of a checkpoint hold.</summary>
/// <param name="Path">The path of the file, for messages.</param>
/// <param name="Text">The text of the template.</param>
/// <param name="ToolUse">The text of the template named <c>tool_use</c>; null if there is none.</param>
internal sealed record TemplateFiles(string Path, string Text, string? ToolUse)
{
    /// <summary>Finds the template of files; null if they have none.</summary>
    /// <remarks>
    /// It reads the same files in the same order as transformers. <c>chat_template.json</c> is older and belongs to processors, but may be
    /// the only one.
    /// </remarks>
    /// <exception cref="InvalidDataException">A file is damaged, or a list of templates has none named "default".</exception>
    public static TemplateFiles? Find(TokenizerFiles files)
    {
        if (files.Find(TokenizerFiles.Template) is { } jinja)
        {
            string path = files.PathOf(TokenizerFiles.Template);
            return new TemplateFiles(path, TokenizerFiles.DecodeTemplate(path, jinja), ToolUse: null);
        }

        foreach (string name in (ReadOnlySpan<string>)[TokenizerFiles.Configuration, TokenizerFiles.OlderTemplate])
        {
            if (files.Find(name) is not { } content)
            {
                continue;
            }

            using var json = new JsonFile(files.PathOf(name), content);
            if (JsonFile.TryGet(json.Root, "chat_template", out JsonElement value))
            {
                return value.ValueKind == JsonValueKind.Array
                    ? OfList(json, value)
                    : new TemplateFiles(json.FilePath, json.Text(value, "chat_template"), ToolUse: null);
            }
        }

        return null;
    }

    private static TemplateFiles OfList(JsonFile json, JsonElement templates)
    {
        string? text = null, toolUse = null;
        foreach (JsonElement entry in templates.EnumerateArray())
        {
            string template = json.Require(entry, "template", JsonValueKind.String).GetString()!;
            JsonElement name = json.Require(entry, "name", JsonValueKind.String);
            text = name.ValueEquals("default") ? template : text;
            toolUse = name.ValueEquals("tool_use") ? template : toolUse;
        }

        return text is not null
            ? new TemplateFiles(json.FilePath, text, toolUse)
            : throw json.Error(
                $"chat_template is a list of {templates.GetArrayLength()} templates, and none is named \"default\". "
                + CheckpointTemplate.Remedy);
    }
}
