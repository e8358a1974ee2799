using System.Globalization;
using System.Runtime.CompilerServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>The identity of a run: that of its model, and of every plug-in beside it.</summary>
/// <param name="policy">The model that is trained.</param>
/// <param name="reference">The frozen model of the KL term; null where the loss has none.</param>
/// <param name="parts">The other plug-ins, with the name that messages give them.</param>
internal sealed class RunIdentity(IPolicy policy, IReferenceModel? reference, params IReadOnlyList<(string Name, object PlugIn)> parts)
{
    /// <summary>The name of the model's facts.</summary>
    public const string Model = "model";

    private const string Weights = "weights";
    private const int NamedAtMost = 3;

    // A second trainer in a process must find the weights that the model was loaded with, and not those that the first has trained.
    private static readonly ConditionalWeakTable<nn.Module, string> FirstWeights = [];

    private Dictionary<string, string>? _facts;

    /// <summary>All facts by name, as they were when they were asked for or noted first.</summary>
    public IReadOnlyDictionary<string, string> Facts => _facts ??= TensorThread.Run(Collect);

    /// <summary>Notes the facts unless that was done before. Called before the first change of a weight.</summary>
    /// <remarks>All weights of a model are read once in a process (<see cref="WeightHash"/>), whatever the number of runs.</remarks>
    public void Note() => _ = Facts;

    private Dictionary<string, string> Collect()
    {
        var facts = new Dictionary<string, string>(StringComparer.Ordinal);
        Add(Model, WithWeights(PlugInIdentity.Of(policy), policy.Module).With("trained parameters", DescribeTrained()));
        if (reference is not null)
        {
            Add("reference", WithWeights(PlugInIdentity.Of(reference), reference.Module));
        }

        foreach ((string name, object plugIn) in parts)
        {
            Add(name, PlugInIdentity.Of(plugIn));
        }

        return facts;

        void Add(string name, PlugInIdentity identity)
        {
            foreach ((string fact, string value) in identity.Under(name))
            {
                facts[fact] = value;
            }
        }
    }

    private static PlugInIdentity WithWeights(PlugInIdentity identity, nn.Module? module) => module is null || identity.Has(Weights)
        ? identity
        : identity.With(Weights, FirstWeights.GetValue(module, Describe));

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
            [.. policy.Module.named_parameters().Select(pair => pair.name).Where(name => !trained.Contains(name)).Order(StringComparer.Ordinal)];
        string which = frozen.Length switch
        {
            0 => "",
            <= NamedAtMost => $", without {string.Join(", ", frozen)}",
            _ => $", SHA-256 of their names {TextHash.Short(trained.Order(StringComparer.Ordinal))}",
        };
        return string.Create(CultureInfo.InvariantCulture, $"{trained.Count} of {trained.Count + frozen.Length}{which}");
    }
}
