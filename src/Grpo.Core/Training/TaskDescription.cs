using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;

namespace Grpo.Training;

/// <summary>
/// The task that a model was trained for, as <c>task.json</c> of its folder tells it: how it is prompted and how it answers.
/// </summary>
/// <remarks>
/// A model answers well only when it is prompted as it was in training. <see cref="TrainerServices.Task"/> puts the description into every
/// checkpoint of a run, so that whoever loads one can do that.
/// </remarks>
public sealed record TaskDescription
{
    /// <summary>The name of the file in the folder of a model or checkpoint.</summary>
    public const string FileName = "task.json";

    private const int CurrentFormat = 1;
    private const long MaxBytes = 1 << 20;

    // Prompts are full of quotes and tags; the default encoder writes them as escapes, for pages that embed JSON.
    private static readonly TaskJson Json =
        new(new JsonSerializerOptions(TaskJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>The version of the file's format.</summary>
    [JsonInclude]
    internal int Format { get; init; } = CurrentFormat;

    /// <summary>The system message of the training prompts; null when they had none.</summary>
    public required string? SystemPrompt { get; init; }

    /// <summary>The form of an answer, in the words of the application, such as "TagAnswer". Null when there is none.</summary>
    public string? AnswerFormat { get; init; }

    /// <summary>The longest prompt, tokens; null when nothing is known of it.</summary>
    /// <value>1 or more.</value>
    public int? MaxPromptTokens { get; init; }

    /// <summary>The longest completion, tokens; null when nothing is known of it.</summary>
    /// <value>1 or more.</value>
    public int? MaxCompletionTokens { get; init; }

    /// <summary>Anything else that an application wants to find again, by name.</summary>
    public IReadOnlyDictionary<string, string> Fields { get; init; } = new Dictionary<string, string>();

    /// <summary>Writes <see cref="FileName"/> into an existing folder and replaces one that is there.</summary>
    /// <param name="directory">The folder of a model.</param>
    /// <exception cref="InvalidOperationException">The description is too long to be read again, or a limit is below 1.</exception>
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

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="directory">The folder of a model or checkpoint.</param>
    /// <returns>The description; null when the folder has none, as those of downloaded models and of earlier versions.</returns>
    /// <exception cref="InvalidDataException">The file is damaged, too long, or of another format. The message names it.</exception>
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

    // The serializer lets a null through where it stands for a value of the dictionary.
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

/// <summary>Reads and writes <see cref="TaskDescription"/> without reflection; refuses repeated fields and unexpected nulls.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    WriteIndented = true,
    NewLine = "\n",
    MaxDepth = 8,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(TaskDescription))]
internal sealed partial class TaskJson : JsonSerializerContext;
