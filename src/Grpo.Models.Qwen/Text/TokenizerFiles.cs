using System.Text;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// The files of a tokenizer in memory, byte for byte. They are small, and saving must work after their folder is deleted.
/// </summary>
internal sealed class TokenizerFiles
{
    public const string Tokenizer = "tokenizer.json";
    public const string Vocabulary = "vocab.json";
    public const string Merges = "merges.txt";
    public const string Configuration = "tokenizer_config.json";
    public const string AddedTokens = "added_tokens.json";
    public const string SpecialTokens = "special_tokens_map.json";
    public const string Template = "chat_template.jinja";
    public const string OlderTemplate = "chat_template.json";
    public const string ToolTemplate = "additional_chat_templates/tool_use.jinja";
    public const string Generation = "generation_config.json";
    public const string Model = "config.json";

    // Real files have at most about a tenth of these sizes. config.json belongs to the model: it is read, not saved.
    private static readonly (string Name, int MaxMegabytes, bool IsSaved)[] Known =
    [
        (Tokenizer, 128, true), (Vocabulary, 64, true), (Merges, 64, true), (Configuration, 16, true), (AddedTokens, 16, true),
        (SpecialTokens, 16, true), (Template, 1, true), (ToolTemplate, 1, true), (OlderTemplate, 1, true), (Generation, 1, true),
        (Model, 1, false),
    ];

    private readonly Dictionary<string, byte[]> _contents;

    /// <param name="source">The folder, for messages.</param>
    /// <param name="contents">The bytes by file name.</param>
    public TokenizerFiles(string source, Dictionary<string, byte[]> contents)
    {
        Source = source;
        _contents = contents;
    }

    public string Source { get; }

    /// <summary>Returns the path of a file for messages.</summary>
    public string PathOf(string name) => Path.Combine(Source, name);

    public byte[]? Find(string name) => _contents.GetValueOrDefault(name);

    public void Add(string name, byte[] content) => _contents.Add(name, content);

    /// <summary>Reads every tokenizer file of a folder.</summary>
    public static TokenizerFiles Read(string directory) => Read(directory, _ => true);

    /// <summary>Reads the files that may hold a chat template, and no vocabulary.</summary>
    public static TokenizerFiles ReadTemplates(string directory) => Directory.Exists(directory)
        ? Read(directory, name => name is Template or ToolTemplate or OlderTemplate or Configuration)
        : new TokenizerFiles(directory, []); // a missing folder is reported where its other files are read

    private static TokenizerFiles Read(string directory, Func<string, bool> isWanted)
    {
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException(
                $"The tokenizer folder '{directory}' does not exist. Give a folder with {Tokenizer}, or with {Vocabulary} and {Merges}.");
        }

        var contents = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach ((string name, int maxMegabytes, _) in Known.Where(file => isWanted(file.Name)))
        {
            string path = Path.Combine(directory, name);
            if (File.Exists(path))
            {
                contents.Add(name, ReadBounded(path, maxMegabytes));
            }
        }

        return new TokenizerFiles(directory, contents);
    }

    /// <summary>True if a file of this name, relative to the folder and with '/', is read or written as part of a tokenizer.</summary>
    public static bool IsName(string name) => Known.Any(file => file.Name == name);

    public void Save(string directory)
    {
        Directory.CreateDirectory(directory);
        foreach ((string name, _, bool isSaved) in Known)
        {
            if (isSaved && Find(name) is { } content)
            {
                string path = Path.Combine(directory, name);
                Directory.CreateDirectory(Path.GetDirectoryName(path)!);
                File.WriteAllBytes(path, content);
            }
        }
    }

    /// <summary>Reads the text of a chat template from a file of any name.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file is too large or no UTF-8.</exception>
    public static string ReadTemplateText(string path) => File.Exists(path)
        ? DecodeTemplate(path, ReadBounded(path, maxMegabytes: 1))
        : throw new FileNotFoundException($"The chat template '{path}' does not exist.", path);

    /// <summary>Decodes the text of a chat template.</summary>
    /// <exception cref="InvalidDataException">The bytes are no UTF-8.</exception>
    public static string DecodeTemplate(string path, byte[] content)
    {
        try
        {
            string text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(content);
            return text.StartsWith('\uFEFF') ? text[1..] : text;
        }
        catch (ArgumentException exception)
        {
            throw new InvalidDataException($"'{path}': The file is not valid UTF-8.", exception);
        }
    }

    private static byte[] ReadBounded(string path, int maxMegabytes)
    {
        using FileStream stream = File.OpenRead(path);
        if (stream.Length > maxMegabytes * 1_048_576L)
        {
            throw new InvalidDataException(
                $"'{path}' has {stream.Length} bytes; at most {maxMegabytes} MiB are read. It is not the file of a tokenizer.");
        }

        var content = new byte[stream.Length];
        stream.ReadExactly(content);
        return content;
    }
}
