using System.Text.Json;
using Grpo.Tensors;

namespace Grpo.Optimization;

/// <summary>What a <see cref="GrpoOptimizer"/> writes into a checkpoint and reads from one.</summary>
internal sealed class OptimizerCheckpoint(
    IPolicy policy, AdamW adam, ReferenceSync? referenceSync, KlControl kl, GradientSpikes spikes, ulong seed)
{
    private const string MomentsFile = "optimizer.safetensors";
    private const string StateFile = "grpo_state.json";

    /// <summary>Writes policy, moments, counters and, where it moves, the reference.</summary>
    /// <param name="directory">An existing folder.</param>
    /// <param name="step">Steps done.</param>
    public void Save(string directory, long step)
    {
        policy.Save(directory);
        adam.Save(Path.Combine(directory, MomentsFile));
        referenceSync?.Save(directory);
        var state = new OptimizerState
        {
            Step = step,
            OptimizerSteps = adam.Step,
            Seed = seed,
            KlCoefficient = kl.State,
            GradientNorms = spikes.State,
        };
        File.WriteAllText(Path.Combine(directory, StateFile), JsonSerializer.Serialize(state, OptimizerStateJson.Default.OptimizerState));
    }

    /// <summary>Restores what <see cref="Save"/> wrote.</summary>
    /// <param name="directory">The folder.</param>
    /// <returns>Steps done.</returns>
    /// <exception cref="InvalidDataException">The folder holds another format, seed or model; nothing was changed.</exception>
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

        // Everything that can be checked is checked before the first weight changes.
        using SafetensorsReader moments = adam.OpenMoments(Path.Combine(directory, MomentsFile));
        using SafetensorsReader? reference = referenceSync?.Open(directory);
        policy.Load(directory);
        adam.Load(moments, state.OptimizerSteps);
        if (reference is not null)
        {
            referenceSync!.Load(reference);
        }

        kl.Restore(state.KlCoefficient);
        spikes.Restore(state.GradientNorms);
        return state.Step;
    }
}
