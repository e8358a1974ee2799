using System.Text;
using System.Text.Json;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Rollouts;
using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// The chat template of a checkpoint. It can write itself into a saved checkpoint, so that loading gives the same template.
/// </summary>
internal sealed class CheckpointTemplate
{
    private const string Remedy =
        $"Pass an {nameof(IChatTemplate)} that renders it, in the option {nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.ChatTemplate)}.";

    private readonly string? _file;
    private readonly string? _own;

    /// <param name="template">The template.</param>
    /// <param name="isAssumed">True if nothing names a template.</param>
    /// <param name="file">The text for a separate file; null if the tokenizer's files hold it.</param>
    /// <param name="own">The text in the files of the checkpoint; null if there is none.</param>
    private CheckpointTemplate(IChatTemplate template, bool isAssumed, string? file, string? own)
    {
        Template = template;
        IsAssumed = isAssumed;
        _file = file;
        _own = own;
    }

    /// <summary>The template.</summary>
    public IChatTemplate Template { get; }

    /// <summary>True if neither the files nor the options name a template, so that Qwen2.5's is used.</summary>
    public bool IsAssumed { get; }

    /// <summary>The text of the template as a saved checkpoint has it; null if there is none.</summary>
    public string? Text => _file ?? _own;

    /// <summary>Chooses the template of the options, else that of the files, else Qwen2.5's.</summary>
    /// <param name="given">The template of the options; null if there is none.</param>
    /// <param name="model">The files of the model.</param>
    /// <param name="adapter">The files of the adapter, whose template takes precedence over the model's; null without an adapter.</param>
    /// <exception cref="InvalidDataException">
    /// The template of the files is unknown and the options give none, or a file is damaged.
    /// </exception>
    public static CheckpointTemplate Choose(IChatTemplate? given, TokenizerFiles model, TokenizerFiles? adapter)
    {
        (string Path, string Text)? own = adapter is null ? null : Find(adapter);
        (string Path, string Text)? found = own ?? Find(model);
        QwenChatTemplate? known = found is { } text ? ChatTemplateText.Recognize(text.Text) : null;
        if (given is not null)
        {
            return new CheckpointTemplate(given, isAssumed: false, FileFor(given, found is not null, known) ?? own?.Text, found?.Text);
        }

        if (found is { } unknown && known is null)
        {
            throw new InvalidDataException(
                $"The chat template in '{unknown.Path}' is not one of those that are known (Qwen2, Qwen2.5 and ChatML), and others are not "
                + $"rendered yet: '{TerminalText.EscapeLine(unknown.Text.Length <= 120 ? unknown.Text : unknown.Text[..120] + "…")}'. "
                + $"{Remedy}");
        }

        var assumed = new QwenChatTemplate();
        return known is not null
            ? new CheckpointTemplate(known, isAssumed: false, own?.Text, found!.Value.Text)
            : new CheckpointTemplate(assumed, isAssumed: true, ChatTemplateText.Write(assumed.DefaultSystemMessage), own: null);
    }

    /// <summary>
    /// Makes the checks of loading for the files that a folder has. A folder that was downloaded for its configuration has no vocabulary.
    /// </summary>
    /// <exception cref="InvalidDataException">Loading would refuse the template or the vocabulary.</exception>
    public static void CheckFolder(string directory, string? adapter, string source, IChatTemplate? given, ILogger? logger)
    {
        TokenizerFiles files = TokenizerFiles.Read(directory);
        CheckpointTemplate template = Choose(given, files, adapter is null ? null : TokenizerFiles.ReadTemplates(adapter));
        bool hasVocabulary = files.Find(TokenizerFiles.Tokenizer) is not null || files.Find(TokenizerFiles.Vocabulary) is not null;
        if (hasVocabulary)
        {
            template.Fit(QwenTokenizer.Create(files));
        }

        if (hasVocabulary || files.Find(TokenizerFiles.Configuration) is not null)
        {
            template.Report(logger, source);
        }
    }

    /// <summary>Checks that the template's markers are tokens, and makes its end of a message an end token.</summary>
    /// <param name="tokenizer">The tokenizer of the files.</param>
    /// <returns>The tokenizer with every end token of a run.</returns>
    /// <exception cref="InvalidDataException">A marker is not a token of the vocabulary.</exception>
    public QwenTokenizer Fit(QwenTokenizer tokenizer)
    {
        IReadOnlyList<string> markers = Template is QwenChatTemplate
            ? QwenChatTemplate.Markers
            : Template is IEndOfTurnTemplate named ? [named.EndOfTurn] : [];
        foreach (string marker in markers)
        {
            if (tokenizer.Encode(marker).Count != 1)
            {
                throw new InvalidDataException(
                    $"{Template.GetType().Name} writes '{TerminalText.EscapeLine(marker)}', which is no token of the vocabulary in "
                    + $"'{tokenizer.Source}': it would become plain text. {Remedy}");
            }
        }

        return tokenizer.WithEndTokens(new PromptEncoder(tokenizer, Template).EndTokenIds);
    }

    /// <summary>Logs a warning if the template is assumed.</summary>
    public void Report(ILogger? logger, string source)
    {
        if (IsAssumed && logger is not null)
        {
            logger.NoChatTemplate(source, QwenChatTemplate.QwenSystemMessage);
        }
    }

    /// <summary>Writes the template into the folder of a saved checkpoint, unless the tokenizer's files hold it.</summary>
    public void Save(string directory)
    {
        string path = Path.Combine(directory, TokenizerFiles.Template);
        // A file that an earlier model left in the folder would take precedence over the configuration.
        if ((_file ?? (File.Exists(path) ? _own : null)) is { } text)
        {
            File.WriteAllText(path, text);
        }
    }

    // A caller's template that is code cannot be written. Loading the folder again must not silently use the template of the files instead.
    private static string? FileFor(IChatTemplate given, bool isFound, QwenChatTemplate? known) => given switch
    {
        QwenChatTemplate own when known is not null && known.DefaultSystemMessage == own.DefaultSystemMessage => null,
        QwenChatTemplate own => ChatTemplateText.Write(own.DefaultSystemMessage),
        _ when isFound && known is null => null,
        _ =>
            "{{- raise_exception('This model was trained with a chat template that is code: give that "
                + "template, in place of this file.') }}",
    };

    // The same files in the same order as transformers. chat_template.json is older and belongs to processors, but may be the only one.
    private static (string Path, string Text)? Find(TokenizerFiles files)
    {
        if (files.Find(TokenizerFiles.Template) is { } jinja)
        {
            string path = files.PathOf(TokenizerFiles.Template);
            try
            {
                return (path, new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(jinja));
            }
            catch (ArgumentException exception)
            {
                throw new InvalidDataException($"'{path}': The file is not valid UTF-8.", exception);
            }
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
                return (json.FilePath, value.ValueKind == JsonValueKind.Array ? Default(json, value) : json.Text(value, "chat_template"));
            }
        }

        return null;
    }

    private static string Default(JsonFile json, JsonElement templates)
    {
        string? text = null;
        foreach (JsonElement entry in templates.EnumerateArray())
        {
            string template = json.Require(entry, "template", JsonValueKind.String).GetString()!;
            if (json.Require(entry, "name", JsonValueKind.String).ValueEquals("default"))
            {
                text = template;
            }
        }

        return text ?? throw json.Error(
            $"chat_template is a list of {templates.GetArrayLength()} templates, and none is named \"default\". {Remedy}");
    }
}

internal static partial class QwenLog
{
    [LoggerMessage(
        EventId = 411,
        Level = LogLevel.Warning,
        Message = "'{Source}' has no chat template: Qwen2.5's is used, with the system message '{SystemMessage}'. "
            + "If the model was trained with another template, pass an IChatTemplate in QwenLoadOptions.ChatTemplate.")]
    public static partial void NoChatTemplate(this ILogger logger, string source, string systemMessage);
}
