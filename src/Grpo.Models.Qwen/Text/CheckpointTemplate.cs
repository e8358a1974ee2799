using Grpo.IO;
using Grpo.Modeling;
using Grpo.Rollouts;
using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// The chat template of a checkpoint. It can write itself into a saved checkpoint, so that loading gives the same template.
/// </summary>
internal sealed class CheckpointTemplate
{
    /// <summary>The advice for a template that cannot be used.</summary>
    internal const string Remedy =
        $"Pass an {nameof(IChatTemplate)} that renders it, in the option {nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.ChatTemplate)} "
        + "(in the sample: --chat-template).";

    private readonly TemplateTexts? _file;
    private readonly TemplateTexts? _own;

    /// <param name="template">The template.</param>
    /// <param name="isAssumed">True if nothing names a template.</param>
    /// <param name="file">The texts for separate files; null if the tokenizer's files hold them.</param>
    /// <param name="own">The texts in the files of the checkpoint; null if there are none.</param>
    private CheckpointTemplate(IChatTemplate template, bool isAssumed, TemplateTexts? file, TemplateTexts? own)
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

    /// <summary>The texts of the template as a saved checkpoint has them; null if there are none.</summary>
    public TemplateTexts? Texts => _file ?? _own;

    /// <summary>Chooses the template of the options, else that of the files, else Qwen2.5's.</summary>
    /// <param name="given">The template of the options; null if there is none.</param>
    /// <param name="arguments">The arguments for the template of the files; null for none.</param>
    /// <param name="model">The files of the model.</param>
    /// <param name="adapter">The files of the adapter, whose template takes precedence over the model's; null without an adapter.</param>
    /// <exception cref="ArgumentException">The options give a template and arguments for another.</exception>
    /// <exception cref="InvalidDataException">
    /// The template of the files cannot be used and the options give none, or a file is damaged.
    /// </exception>
    public static CheckpointTemplate Choose(
        IChatTemplate? given, ChatTemplateOptions? arguments, TokenizerFiles model, TokenizerFiles? adapter)
    {
        TemplateFiles? own = adapter is null ? null : TemplateFiles.Find(adapter), found = own ?? TemplateFiles.Find(model);
        ChatTemplateOptions options = arguments ?? new ChatTemplateOptions();
        options = options with { SpecialTokens = options.SpecialTokens ?? SpecialTokenTexts.Read(model) };
        if (given is not null)
        {
            if (arguments is not null)
            {
                throw new ArgumentException(
                    $"{nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.TemplateOptions)} are the arguments of the checkpoint's own "
                    + $"template, but {nameof(QwenLoadOptions.ChatTemplate)} replaces it. Give the arguments to that template.");
            }

            IChatTemplate used = given is JinjaChatTemplate jinja ? jinja.WithSpecialTokens(options.SpecialTokens) : given;
            return new CheckpointTemplate(used, isAssumed: false, FileFor(used, found, options) ?? own?.Texts, found?.Texts);
        }

        if (found is not null)
        {
            return new CheckpointTemplate(Interpret(found, options), isAssumed: false, own?.Texts, found.Texts);
        }

        var assumed = new QwenChatTemplate();
        return options.Tools.Count == 0
            ? new CheckpointTemplate(assumed, isAssumed: true, TextsOf(assumed), own: null)
            : throw new InvalidDataException(
                $"The checkpoint in '{model.Source}' has no chat template, and Qwen2.5's is used without tools here, but "
                + $"{nameof(ChatTemplateOptions)}.{nameof(ChatTemplateOptions.Tools)} has {options.Tools.Count}. {Remedy}");
    }

    /// <summary>
    /// Makes the checks of loading for the files that a folder has. A folder that was downloaded for its configuration has no vocabulary.
    /// </summary>
    /// <param name="directory">The folder of the model.</param>
    /// <param name="adapter">The folder of the adapter; null without one.</param>
    /// <param name="source">The name of the model for the log.</param>
    /// <param name="given">The template of the options; null if there is none.</param>
    /// <param name="arguments">The arguments for the template of the files; null for none.</param>
    /// <param name="logger">The logger for an assumed template; null for none.</param>
    /// <exception cref="InvalidDataException">Loading would refuse the template or the vocabulary.</exception>
    public static void CheckFolder(
        string directory, string? adapter, string source, IChatTemplate? given, ChatTemplateOptions? arguments, ILogger? logger)
    {
        TokenizerFiles files = TokenizerFiles.Read(directory);
        CheckpointTemplate template = Choose(
            given, arguments, files, adapter is null ? null : TokenizerFiles.ReadTemplates(adapter));
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
        foreach (string marker in Markers())
        {
            if (!tokenizer.AddedTokens.ContainsKey(marker) && tokenizer.Encode(marker).Count != 1)
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
        string path = Path.Combine(directory, TokenizerFiles.Template), toolPath = Path.Combine(directory, TokenizerFiles.ToolTemplate);
        // A file that an earlier model left in the folder would take precedence over the configuration.
        if ((_file ?? (File.Exists(path) ? _own : null)) is not { } texts)
        {
            return;
        }

        File.WriteAllText(path, texts.Text);
        if (texts.ToolUse is not null)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(toolPath)!);
            File.WriteAllText(toolPath, texts.ToolUse);
        }
        else if (File.Exists(toolPath))
        {
            File.Delete(toolPath);
        }
    }

    private IReadOnlyList<string> Markers() => Template switch
    {
        QwenChatTemplate => QwenChatTemplate.Markers,
        JinjaChatTemplate jinja => TemplateProbes.Markers(jinja),
        IEndOfTurnTemplate named => [named.EndOfTurn],
        _ => [],
    };

    private static JinjaChatTemplate Interpret(TemplateFiles found, ChatTemplateOptions options)
    {
        try
        {
            var template = new JinjaChatTemplate(found.Texts.Text, found.Texts.ToolUse, options);
            TemplateProbes.Render(template);
            return template;
        }
        catch (NotSupportedException exception)
        {
            throw new InvalidDataException(
                $"The chat template in '{found.Path}' cannot be used. {TerminalText.EscapeLine(exception.Message)} {Remedy}", exception);
        }
    }

    // A caller's template that is code cannot be written. Loading the folder again must not silently use the template of the files instead.
    private static TemplateTexts? FileFor(IChatTemplate given, TemplateFiles? found, ChatTemplateOptions options)
    {
        if (given is JinjaChatTemplate jinja)
        {
            var texts = new TemplateTexts(jinja.Text, jinja.ToolUseText);
            return texts == found?.Texts ? null : texts;
        }

        JinjaChatTemplate? usable = null;
        try
        {
            usable = found is null ? null : Interpret(found, options);
        }
        catch (InvalidDataException)
        {
            // The files hold a template that loading refuses, for others who can render it.
        }

        return given switch
        {
            QwenChatTemplate own when usable is not null && TemplateProbes.AreAlike(usable, own) => null,
            QwenChatTemplate own => TextsOf(own),
            _ when found is not null && usable is null => null,
            _ => new TemplateTexts(
                "{{- raise_exception('This model was trained with a chat template that is code: give that "
                + "template, in place of this file.') }}",
                ToolUse: null),
        };
    }

    private static TemplateTexts TextsOf(QwenChatTemplate template) =>
        new(ChatTemplateText.Write(template.DefaultSystemMessage), ToolUse: null);
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
