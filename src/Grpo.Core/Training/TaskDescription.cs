using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;

namespace Grpo.Training;

/// <summary>
/// A description of the task that a model was trained for: its prompts and the form of its answers. It is stored as <c>task.json</c> in
/// the folder of the model.
/// </summary>
/// <remarks>
/// A model answers well only if its prompts are like those of its training. <see cref="TrainerServices.Task"/> writes the description into
/// every checkpoint of a run, so that an application that loads one can build such prompts.
/// </remarks>
public sealed record TaskDescription
{
    /// <summary>The name of the file in the folder of a model or checkpoint.</summary>
    public const string FileName = "task.json";

    private const int CurrentFormat = 1;
    private const long MaxBytes = 1 << 20;

    // Prompts are full of quotes and tags. The default encoder escapes these for JSON inside web pages, which makes the file unreadable.
    private static readonly TrainingJson Json =
        new(new JsonSerializerOptions(TrainingJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>The version of the file's format.</summary>
    [JsonInclude]
    internal int Format { get; init; } = CurrentFormat;

    /// <summary>The system message of the training prompts. Null if they had none.</summary>
    public required string? SystemPrompt { get; init; }

    /// <summary>The form of an answer in the words of the application, such as "TagAnswer". Null if there is none.</summary>
    public string? AnswerFormat { get; init; }

    /// <summary>The length of the longest prompt in tokens. Null if unknown.</summary>
    /// <value>1 or more.</value>
    public int? MaxPromptTokens { get; init; }

    /// <summary>The length of the longest completion in tokens. Null if unknown.</summary>
    /// <value>1 or more.</value>
    public int? MaxCompletionTokens { get; init; }

    /// <summary>Further texts of the application by name. Empty by default.</summary>
    public IReadOnlyDictionary<string, string> Fields { get; init; } = new Dictionary<string, string>();

    /// <summary>Writes <see cref="FileName"/> into an existing folder. A file of that name is replaced.</summary>
    /// <param name="directory">The folder of a model.</param>
    /// <exception cref="InvalidOperationException">
    /// The description is too long to be read again, a length is below 1, or a field is null.
    /// </exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string directory)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(this, Json.TaskDescription);
        if ((json.Length > MaxBytes ? $"it takes {json.Length} bytes; the limit is {MaxBytes}." : FindProblem()) is { } problem)
        {
            throw new InvalidOperationException($"The description of the task cannot be written: {problem}");
        }

        File.WriteAllBytes(Path.Combine(directory, FileName), json);
    }

    /// <summary>Reads <see cref="FileName"/> from a folder.</summary>
    /// <param name="directory">The folder of a model or checkpoint.</param>
    /// <returns>The description. Null if the folder has none, as with downloaded models and checkpoints of earlier versions.</returns>
    /// <exception cref="InvalidDataException">The file is damaged, too long, or has another format. The message names the file.</exception>
    public static TaskDescription? Read(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        var file = new FileInfo(Path.Combine(directory, FileName));
        if (!file.Exists)
        {
            return null;
        }

        string name = TerminalText.EscapeLine(file.FullName);
        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"'{name}' has {file.Length} bytes; the limit for a task is {MaxBytes}.");
        }

        try
        {
            TaskDescription? task = JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), Json.TaskDescription);
            string? problem = task is null ? "it holds null." : task.FindProblem();
            return problem is null ? task : throw new InvalidDataException($"'{name}' does not describe a task: {problem}");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{name}' does not describe a task: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    // The serializer does not refuse a null value in the dictionary.
    private string? FindProblem() => this switch
    {
        { Format: not CurrentFormat } => FormattableString.Invariant($"it has format {Format}; this version reads format {CurrentFormat}."),
        { MaxPromptTokens: < 1 } => FormattableString.Invariant($"max_prompt_tokens is {MaxPromptTokens}; it must be 1 or more."),
        { MaxCompletionTokens: < 1 } =>
            FormattableString.Invariant($"max_completion_tokens is {MaxCompletionTokens}; it must be 1 or more."),
        _ when Fields.Any(field => field.Value is null) => "a field is null.",
        _ => null,
    };
}
