using System.Globalization;
using System.Runtime.CompilerServices;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>The identity of a run: that of its model, and of every plug-in beside it.</summary>
/// <param name="policy">The model that is trained.</param>
/// <param name="reference">The frozen model of the KL term; null where the loss has none.</param>
/// <param name="parts">The other plug-ins, with the name that messages give them.</param>
internal sealed class RunIdentity(IPolicy policy, IReferenceModel? reference, params IReadOnlyList<(string Name, object PlugIn)> parts)
{
    /// <summary>The name of the model's facts.</summary>
    public const string Model = "model";

    private const int NamedAtMost = 3;

    // By module. A second run in a process must find the weights that the first has found, and not those that it has trained.
    private static readonly ConditionalWeakTable<object, Found> FirstWeights = [];

    private Dictionary<string, string>? _ofModels;
    private Dictionary<string, string>? _facts;

    /// <summary>The kind of trainer. What another kind has trained, such as a cold start, is where this one begins.</summary>
    public string Trainer { get; init; } = nameof(GrpoOptimizer);

    /// <summary>All facts by name, those of the models as they were when they were noted.</summary>
    public IReadOnlyDictionary<string, string> Facts => _facts ??= TensorThread.Run(Collect);

    /// <summary>Notes the facts of the models unless that was done before. Called before the first change of a weight.</summary>
    /// <remarks>Nobody else is asked: a run without checkpoints needs no facts, but may be followed by one with them.</remarks>
    public void Note() => _ofModels ??= TensorThread.Run(CollectOfModels);

    private Dictionary<string, string> Collect()
    {
        Note();
        var facts = new Dictionary<string, string>(_ofModels!, StringComparer.Ordinal);
        foreach ((string name, object plugIn) in parts)
        {
            Add(facts, name, PlugInIdentity.Of(plugIn));
        }

        return facts;
    }

    private Dictionary<string, string> CollectOfModels()
    {
        var facts = new Dictionary<string, string>(StringComparer.Ordinal);
        AddModel(facts, Model, policy, policy.Module);
        facts[$"{Model}.trained parameters"] = DescribeTrained();
        if (reference is not null)
        {
            AddModel(facts, "reference", reference, reference.Module);
        }

        return facts;
    }

    private void AddModel(Dictionary<string, string> facts, string name, object model, nn.Module? module)
    {
        Add(facts, name, PlugInIdentity.Of(model));
        string weights = $"{name}.weights";
        object key = module ?? model;
        if (FirstWeights.TryGetValue(key, out Found? found) && found.By == Trainer)
        {
            facts[weights] = found.Weights;
            return;
        }

        if (module is not null && !facts.ContainsKey(weights))
        {
            facts[weights] = Describe(module);
        }

        if (facts.TryGetValue(weights, out string? now))
        {
            FirstWeights.AddOrUpdate(key, new Found(Trainer, now));
        }
    }

    private static void Add(Dictionary<string, string> facts, string name, PlugInIdentity identity)
    {
        foreach ((string fact, string value) in identity.Under(name))
        {
            facts[fact] = value;
        }
    }

    private static string Describe(nn.Module module) => WeightHash.Describe(
    [
        .. module.named_parameters().Select(pair => (pair.name, (Tensor)pair.parameter)),
        .. module.named_buffers().Select(pair => (pair.name, pair.buffer)),
    ]);

    // "289 of 290, without model.embed_tokens.weight": the names tell what was frozen, the hash tells two sets of one size apart.
    private string DescribeTrained()
    {
        HashSet<string> trained = [.. policy.TrainedParameters().Select(pair => pair.Name)];
        string[] frozen =
            [.. policy.Module.named_parameters().Select(pair => pair.name).Where(name => !trained.Contains(name))
                .Order(StringComparer.Ordinal)];
        string which = frozen.Length switch
        {
            0 => "",
            <= NamedAtMost => $", without {string.Join(", ", frozen)}",
            _ => $", SHA-256 of their names {TextHash.Short(trained.Order(StringComparer.Ordinal))}",
        };
        return string.Create(CultureInfo.InvariantCulture, $"{trained.Count} of {trained.Count + frozen.Length}{which}");
    }

    private sealed record Found(string By, string Weights);
}
