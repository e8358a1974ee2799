using System.Globalization;
using System.Runtime.CompilerServices;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>The identity of a run: facts about its models and all other plug-ins, by which a resumed run is recognized.</summary>
/// <param name="policy">The model that is trained.</param>
/// <param name="reference">The frozen model of the KL term; null without a KL term.</param>
/// <param name="parts">The other plug-ins, with their names in messages.</param>
internal sealed class RunIdentity(IPolicy policy, IReferenceModel? reference, params IReadOnlyList<(string Name, object PlugIn)> parts)
{
    /// <summary>The prefix of the names of the policy's facts.</summary>
    public const string Model = "model";

    private const int NamedAtMost = 3;

    // The initial weights by module. A second run in a process must find the same initial weights as the first, not the trained ones.
    private static readonly ConditionalWeakTable<object, Found> FirstWeights = [];

    private Dictionary<string, string>? _ofModels;
    private Dictionary<string, string>? _facts;

    /// <summary>
    /// The kind of trainer. Weights that another kind has trained, such as a supervised cold start, are the initial weights of this one.
    /// </summary>
    public string Trainer { get; init; } = nameof(GrpoOptimizer);

    /// <summary>All facts by name. Facts about models are those at the time of the first <see cref="Note"/>.</summary>
    public IReadOnlyDictionary<string, string> Facts => _facts ??= TensorThread.Run(Collect);

    /// <summary>Records the facts about the models, once. Call it before the first change of a weight.</summary>
    /// <remarks>
    /// The other plug-ins are not asked yet. A run without checkpoints needs no facts, but a later run with checkpoints does.
    /// </remarks>
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

    // For example "289 of 290, without model.embed_tokens.weight". With many frozen weights, a hash replaces their names.
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
