using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>The chat template that the files of a checkpoint hold.</summary>
/// <param name="Path">The path of the file, for messages.</param>
/// <param name="Texts">The texts of the template.</param>
internal sealed record TemplateFiles(string Path, TemplateTexts Texts)
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
            string? toolUse = files.Find(TokenizerFiles.ToolTemplate) is { } text
                ? TokenizerFiles.DecodeTemplate(files.PathOf(TokenizerFiles.ToolTemplate), text)
                : null;
            return new TemplateFiles(path, new TemplateTexts(TokenizerFiles.DecodeTemplate(path, jinja), toolUse));
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
                    : new TemplateFiles(json.FilePath, new TemplateTexts(json.Text(value, "chat_template"), ToolUse: null));
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
            ? new TemplateFiles(json.FilePath, new TemplateTexts(text, toolUse))
            : throw json.Error(
                $"chat_template is a list of {templates.GetArrayLength()} templates, and none is named \"default\". "
                + CheckpointTemplate.Remedy);
    }
}

/// <summary>The texts of a chat template.</summary>
/// <param name="Text">The text of the template named <c>default</c>.</param>
/// <param name="ToolUse">The text of the template named <c>tool_use</c>, for conversations with tools; null if there is none.</param>
internal sealed record TemplateTexts(string Text, string? ToolUse);
