using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;

namespace Grpo.Training;

/// <summary>
/// The content of <c>supervised_state.json</c>: the step of a supervised run and the numbers that decide the order of its examples.
/// </summary>
internal sealed record SupervisedState
{
    private const int CurrentFormat = 1;
    private const long MaxBytes = 1 << 20;

    public int Format { get; init; } = CurrentFormat;

    public required long Step { get; init; }

    public required ulong Seed { get; init; }

    public required int BatchSize { get; init; }

    public required int Examples { get; init; }

    /// <summary>Writes the file.</summary>
    public void Write(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this, SupervisedStateJson.Default.SupervisedState));

    /// <summary>Reads the file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is damaged or has another format.</exception>
    public static SupervisedState Read(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException(
                $"'{file.DirectoryName}' holds no state of supervised training: expected {file.Name}. "
                + "Start a new run from its weights, or give another checkpoint folder.", path);
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"'{path}' has {file.Length} bytes; a training state has a few hundred.");
        }

        try
        {
            SupervisedState? state = JsonSerializer.Deserialize(File.ReadAllText(path), SupervisedStateJson.Default.SupervisedState);
            return state switch
            {
                null => throw new InvalidDataException($"'{path}' is not a training state: it holds null."),
                { Format: not CurrentFormat } => throw new InvalidDataException(
                    $"'{path}' has format {state.Format}; this version reads format {CurrentFormat}."),
                { Step: < 0 } => throw new InvalidDataException($"'{path}' counts {state.Step} steps. The file is damaged."),
                _ => state,
            };
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is not a training state: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    /// <summary>Requires the options and examples of the resumed run to give the same order of examples.</summary>
    /// <exception cref="InvalidDataException">The order would differ.</exception>
    public void RequireSameOrder(string path, SupervisedOptions options, int examples)
    {
        Require(Seed == options.Seed, $"with seed {Seed} but the options say {options.Seed}");
        Require(BatchSize == options.BatchSize, $"with batch size {BatchSize} but the options say {options.BatchSize}");
        Require(Examples == examples, $"with {Examples} examples but there are {examples}");

        void Require(bool holds, FormattableString difference)
        {
            if (!holds)
            {
                throw new InvalidDataException(
                    $"'{path}' was written {FormattableString.Invariant(difference)}: the run could not continue exactly. "
                    + "Use the same, or start a new run.");
            }
        }
    }
}

/// <summary>The JSON contract of <see cref="SupervisedState"/>, without reflection.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(SupervisedState))]
internal sealed partial class SupervisedStateJson : JsonSerializerContext;
