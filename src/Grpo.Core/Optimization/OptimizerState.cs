using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;

namespace Grpo.Optimization;

/// <summary>The counters of a <see cref="GrpoOptimizer"/>, as written beside its moments.</summary>
internal sealed record OptimizerState
{
    public const int CurrentFormat = 1;

    private const long MaxBytes = 1 << 20;

    public int Format { get; init; } = CurrentFormat;

    public required long Step { get; init; }

    public required long OptimizerSteps { get; init; }

    public required ulong Seed { get; init; }

    /// <summary>β as an adaptive controller left it; null where it is fixed.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>The recent gradient norms, oldest first.</summary>
    public IReadOnlyList<double> GradientNorms { get; init; } = [];

    /// <exception cref="InvalidDataException">The file is not ours, damaged, or of a newer format.</exception>
    public static OptimizerState Read(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"'{file.DirectoryName}' holds no training state: expected {file.Name}. "
                + "A folder with weights only cannot be resumed; start a new run from it.", path);
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"'{path}' has {file.Length} bytes; a training state has a few hundred.");
        }

        try
        {
            OptimizerState? state = JsonSerializer.Deserialize(File.ReadAllText(path), OptimizerStateJson.Default.OptimizerState);
            return state switch
            {
                null => throw new InvalidDataException($"'{path}' is not a training state: it holds null."),
                { Format: not CurrentFormat } => throw new InvalidDataException(
                    $"'{path}' has format {state.Format}; this version reads format {CurrentFormat}."),
                { Step: < 0 } or { OptimizerSteps: < 0 } => throw new InvalidDataException(
                    $"'{path}' counts {state.Step} steps and {state.OptimizerSteps} optimizer steps; neither can be negative. "
                    + "The file is damaged."),
                { GradientNorms: null } or { GradientNorms.Count: > GradientSpikes.Window } => throw new InvalidDataException(
                    $"'{path}' remembers {state.GradientNorms?.Count ?? 0} gradient norms; 0 to {GradientSpikes.Window} are allowed. "
                    + "The file is damaged."),
                _ when !Finite([state.KlCoefficient ?? 0, .. state.GradientNorms]) => throw new InvalidDataException(
                    $"'{path}' holds a KL coefficient or a gradient norm that is negative or infinite. The file is damaged."),
                _ => state,
            };
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is not a training state: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    // A number too large for a double is read as infinite.
    private static bool Finite(IEnumerable<double> numbers) => numbers.All(number => double.IsFinite(number) && number >= 0);
}

/// <summary>Source-generated: no reflection, so trimming keeps working.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(OptimizerState))]
internal sealed partial class OptimizerStateJson : JsonSerializerContext;
