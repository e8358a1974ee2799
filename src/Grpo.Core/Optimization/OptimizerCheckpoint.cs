using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;
using Grpo.Tensors;

namespace Grpo.Optimization;

/// <summary>Saves and loads the state of a <see cref="GrpoOptimizer"/>.</summary>
internal sealed class OptimizerCheckpoint(IPolicy policy, UpdateParts parts, ReferenceSync? referenceSync, ulong seed)
{
    private const string MomentsFile = "optimizer.safetensors";
    private const string StateFile = "grpo_state.json";

    /// <summary>Writes policy, moments, counters and, if the reference model moves, its weights.</summary>
    /// <param name="directory">The path of an existing folder.</param>
    /// <param name="step">The number of completed steps.</param>
    public void Save(string directory, long step)
    {
        policy.Save(directory);
        parts.Adam.Save(Path.Combine(directory, MomentsFile));
        referenceSync?.Save(directory);
        var state = new OptimizerState
        {
            Step = step,
            OptimizerSteps = parts.Adam.Step,
            Seed = seed,
            KlCoefficient = parts.Kl.State,
            GradientNorms = parts.Spikes.State,
        };
        File.WriteAllText(Path.Combine(directory, StateFile), JsonSerializer.Serialize(state, OptimizerStateJson.Default.OptimizerState));
    }

    /// <summary>Restores the state that <see cref="Save"/> wrote.</summary>
    /// <param name="directory">The path of the folder.</param>
    /// <returns>The number of completed steps.</returns>
    /// <exception cref="InvalidDataException">The folder contains another format, seed or model; nothing was changed.</exception>
    public long Load(string directory)
    {
        string path = Path.Combine(directory, StateFile);
        OptimizerState state = OptimizerState.Read(path);
        if (state.Seed != seed)
        {
            throw new InvalidDataException(
                $"'{path}' was written with seed {state.Seed} but the options say {seed}: the run could not continue exactly. "
                + "Use the same seed.");
        }

        // All checks run before the first weight changes.
        using SafetensorsReader moments = parts.Adam.OpenMoments(Path.Combine(directory, MomentsFile));
        using SafetensorsReader? reference = referenceSync?.Open(directory);
        policy.Load(directory);
        parts.Adam.Load(moments, state.OptimizerSteps);
        if (reference is not null)
        {
            referenceSync!.Load(reference);
        }

        parts.Kl.Restore(state.KlCoefficient);
        parts.Spikes.Restore(state.GradientNorms);
        return state.Step;
    }
}

/// <summary>The counters of a <see cref="GrpoOptimizer"/>, in the JSON file next to its moments.</summary>
internal sealed record OptimizerState
{
    /// <summary>The format that this version writes and reads.</summary>
    public const int CurrentFormat = 1;

    private const long MaxBytes = 1 << 20;

    /// <summary>The format of the file.</summary>
    public int Format { get; init; } = CurrentFormat;

    /// <summary>The number of completed steps.</summary>
    public required long Step { get; init; }

    /// <summary>The number of updates that AdamW has applied.</summary>
    public required long OptimizerSteps { get; init; }

    /// <summary>The seed of the run.</summary>
    public required ulong Seed { get; init; }

    /// <summary>The KL coefficient β of an adaptive controller; null if β is fixed.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>The recent gradient norms, oldest first.</summary>
    public IReadOnlyList<double> GradientNorms { get; init; } = [];

    /// <summary>Reads and checks a state file.</summary>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file is not a training state, is damaged, or has a newer format.</exception>
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

    // JSON numbers beyond the range of a double are read as infinity.
    private static bool Finite(IEnumerable<double> numbers) => numbers.All(number => double.IsFinite(number) && number >= 0);
}

/// <summary>The source-generated JSON code of <see cref="OptimizerState"/>, which works without reflection and so with trimming.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(OptimizerState))]
internal sealed partial class OptimizerStateJson : JsonSerializerContext;
