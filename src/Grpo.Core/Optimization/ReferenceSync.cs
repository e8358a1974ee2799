using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Moves the reference model toward the policy every few steps: π_ref ← α·π + (1 − α)·π_ref.</summary>
/// <remarks>
/// TR-DPO, arXiv:2404.09656: the soft update with α below 1, the hard update with α = 1. Frozen weights are equal in both models and
/// do not move.
/// </remarks>
internal sealed class ReferenceSync
{
    private const string WeightsFile = "reference.safetensors";

    private readonly (string Name, Parameter Policy, Parameter Reference)[] _pairs;
    private readonly double _mix;

    /// <summary>Pairs the trained weights of the policy with those of the reference model.</summary>
    /// <exception cref="InvalidOperationException">
    /// The reference model has no module, or a weight is missing, has another shape, or is shared with the policy.
    /// </exception>
    public ReferenceSync(IPolicy policy, IReferenceModel reference, GrpoOptions options)
    {
        _mix = options.ReferenceSyncMix;
        nn.Module module = reference.Module ?? throw new InvalidOperationException(
            $"ReferenceSyncEvery is {options.ReferenceSyncEvery} but {reference.GetType().Name} has no weights that could be moved (its "
            + "Module is null). Set ReferenceSyncEvery to null.");
        Dictionary<string, Parameter> weights = module.named_parameters()
            .ToDictionary(pair => pair.name, pair => pair.parameter, StringComparer.Ordinal);
        _pairs = [.. policy.TrainedParameters()
            .Select(trained => (trained.Name, trained.Parameter, Partner(trained.Name, trained.Parameter, weights, reference)))];
    }

    /// <summary>Moves the reference model once.</summary>
    public void Move()
    {
        using var scope = TensorScope.BeginNoGrad();
        foreach ((_, Parameter policy, Parameter reference) in _pairs)
        {
            // The arithmetic is in float32, also for a reference in 16 bits. With α = 1, lerp returns exactly the policy's weights.
            reference.copy_(reference.to(ScalarType.Float32).lerp(DeviceTransfer.ToDevice(policy, reference.device), _mix));
        }
    }

    /// <summary>Writes the reference's weights into a folder.</summary>
    public void Save(string directory) =>
        SafetensorsWriter.Write(
            Path.Combine(directory, WeightsFile), [.. _pairs.Select(pair => new KeyValuePair<string, Tensor>(pair.Name, pair.Reference))]);

    /// <summary>Opens the file that <see cref="Save"/> wrote and checks it, before anything is changed.</summary>
    /// <exception cref="InvalidDataException">A weight is missing or has another shape.</exception>
    public SafetensorsReader Open(string directory)
    {
        SafetensorsReader reader = SafetensorsReader.Open(Path.Combine(directory, WeightsFile));
        foreach ((string name, _, Parameter reference) in _pairs)
        {
            if (!reader.Entries.TryGetValue(name, out SafetensorsEntry? entry) || !entry.Shape.SequenceEqual(reference.shape))
            {
                reader.Dispose();
                throw new InvalidDataException(
                    $"'{reader.Path}' holds no '{name}' of shape [{string.Join(", ", reference.shape)}]: "
                    + "it belongs to another model or another choice of trained parameters.");
            }

            if (!SafetensorsDType.IsFloat(entry.DType))
            {
                reader.Dispose();
                throw new InvalidDataException(
                    $"'{reader.Path}': '{name}' is {entry.DType} but must be of a floating-point type. The file is damaged.");
            }
        }

        return reader;
    }

    /// <summary>Restores the reference's weights.</summary>
    /// <param name="weights">The file that <see cref="Open"/> returned.</param>
    public void Load(SafetensorsReader weights)
    {
        using var scope = TensorScope.BeginNoGrad();
        foreach ((string name, _, Parameter reference) in _pairs)
        {
            weights.ReadInto(name, reference);
        }
    }

    private static Parameter Partner(string name, Parameter policy, Dictionary<string, Parameter> weights, IReferenceModel reference)
    {
        if (!weights.TryGetValue(name, out Parameter? partner) || !partner.shape.SequenceEqual(policy.shape))
        {
            throw new InvalidOperationException(
                $"The reference model {reference.GetType().Name} has no weight '{name}' of shape [{string.Join(", ", policy.shape)}], so "
                + "it cannot be moved toward the policy. Use a copy of the policy, or set ReferenceSyncEvery to null.");
        }

        return partner.Handle == policy.Handle
            ? throw new InvalidOperationException(
                $"The reference model shares the weight '{name}' with the policy: it follows the policy at every step. "
                + "Give it a copy of its own.")
            : partner;
    }
}
