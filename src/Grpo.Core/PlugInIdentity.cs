using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Grpo.Modeling;

namespace Grpo;

/// <summary>The identity of a plug-in: its kind and facts about it by name, as texts that a person can read.</summary>
/// <remarks>A checkpoint stores identities, and a resumed run compares them. Immutable: each method returns a new identity.</remarks>
public sealed partial class PlugInIdentity
{
    // A longer text is replaced by its beginning and its hash: a checkpoint stores the facts, and an error message shows two of them.
    private const int LongestText = 300;
    private const int ShownOfLongText = 120;

    private readonly KeyValuePair<string, string>[] _facts;

    /// <summary>Creates an identity without facts.</summary>
    /// <param name="kind">The kind of plug-in, such as "Qwen2". Keep it when the type is renamed.</param>
    public PlugInIdentity(string kind)
        : this(Checked(kind), [])
    {
    }

    private PlugInIdentity(string kind, KeyValuePair<string, string>[] facts)
    {
        Kind = kind;
        _facts = facts;
    }

    /// <summary>The kind of plug-in, such as "Qwen2".</summary>
    public string Kind { get; }

    /// <summary>
    /// The facts, in the order in which they were added. The facts of a part are named "part.fact", and the kind of the
    /// part is named "part".
    /// </summary>
    public IReadOnlyList<KeyValuePair<string, string>> Facts => _facts;

    /// <summary>Adds a fact.</summary>
    /// <param name="name">The name of the fact, such as "answer format". Unique within the identity.</param>
    /// <param name="value">
    /// The value of the fact. Null adds nothing: a fact that is new in a later version then does not refuse the runs of earlier ones.
    /// </param>
    /// <returns>A new identity with the fact.</returns>
    /// <exception cref="ArgumentException">The name is empty, or the identity already has a fact of this name.</exception>
    public PlugInIdentity With(string name, string? value)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return value is null ? this : Add([new(name, Shorten(value))]);
    }

    /// <summary>Adds a fact whose value is a number or an enum, formatted with the invariant culture.</summary>
    /// <inheritdoc cref="With(string, string)"/>
    public PlugInIdentity With(string name, IFormattable? value) => With(name, value?.ToString(null, CultureInfo.InvariantCulture));

    /// <summary>Adds the identity of another plug-in that this one contains or calls.</summary>
    /// <param name="name">The name of the part, such as "inner".</param>
    /// <param name="plugIn">The other plug-in, with or without <see cref="IHasIdentity"/>.</param>
    /// <returns>A new identity with the facts of the part.</returns>
    /// <exception cref="ArgumentException">The name is empty, or the identity already has a fact of this name.</exception>
    public PlugInIdentity WithPart(string name, object plugIn)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return Add([.. Of(plugIn).Under(name)]);
    }

    /// <summary>
    /// Returns the identity that a plug-in gives itself, or else one made of its type. A reward's identity includes its name.
    /// </summary>
    /// <param name="plugIn">The plug-in.</param>
    /// <exception cref="InvalidOperationException"><see cref="IHasIdentity.Identity"/> is null.</exception>
    internal static PlugInIdentity Of(object plugIn)
    {
        ArgumentNullException.ThrowIfNull(plugIn);
        PlugInIdentity identity = plugIn is IHasIdentity known
            ? known.Identity ?? throw new InvalidOperationException(
                $"{plugIn.GetType().Name}.Identity is null. Return what tells it from others, or leave IHasIdentity out.")
            : OfType(plugIn);
        return plugIn is IRewardFunction reward && !identity.Has("name") ? identity.With("name", reward.Name) : identity;
    }

    /// <summary>Returns the kind and then all facts, each named with the given prefix.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Under(string name) =>
        _facts.Select(fact => new KeyValuePair<string, string>($"{name}.{fact.Key}", fact.Value)).Prepend(new(name, Kind));

    /// <summary>Returns true if the identity has a fact of this name.</summary>
    internal bool Has(string name) => _facts.Any(fact => fact.Key == name);

    // For a plug-in without an identity of its own: its type, and for a tokenizer the properties of its interface.
    private static PlugInIdentity OfType(object plugIn)
    {
        var identity = new PlugInIdentity(FileOfType().Replace(plugIn.GetType().ToString(), "")); // FullName has versions of assemblies
        return plugIn is not ITokenizer tokenizer ? identity : identity
            .With("tokens", tokenizer.VocabularySize)
            .With("end tokens", string.Join(", ", tokenizer.EndTokenIds.Order()))
            .With("pad token", tokenizer.PadTokenId);
    }

    // The compiler puts a prefix before the name of a file-local type: the file and a hash of its path.
    [GeneratedRegex("<[^<>]*>F[0-9A-F]+__", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex FileOfType();

    private static string Checked(string kind)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(kind);
        return Shorten(kind);
    }

    private static string Shorten(string text)
    {
        if (text.Length <= LongestText)
        {
            return text;
        }

        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        return string.Create(CultureInfo.InvariantCulture, $"{text[..ShownOfLongText]}… ({text.Length} characters, SHA-256 {hash[..16]})");
    }

    private PlugInIdentity Add(KeyValuePair<string, string>[] facts)
    {
        KeyValuePair<string, string>[] all = [.. _facts, .. facts];
        if (all.GroupBy(fact => fact.Key, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twins)
        {
            throw new ArgumentException(
                $"The identity of {Kind} has the fact '{twins.Key}' already; every fact needs a name of its own.", nameof(facts));
        }

        return new PlugInIdentity(Kind, all);
    }
}

/// <summary>
/// Implemented by plug-ins that describe themselves by more than the name of their type: a policy, a reference model, a sampler, a
/// tokenizer, a chat template, a reward or an evaluator.
/// </summary>
/// <remarks>
/// A checkpoint stores the identity of every plug-in of its run, and a resumed run is compared with it. A plug-in without this interface is
/// identified by its type. The weights of a policy or a reference model and the name of a reward are always added.
/// </remarks>
public interface IHasIdentity
{
    /// <summary>
    /// The identity of the plug-in: everything that changes the numbers of a run, such as settings, parts or the name of a remote model.
    /// Leave out the device, the number of threads and other properties of the machine.
    /// </summary>
    /// <value>Equal facts in every process for an equal plug-in.</value>
    PlugInIdentity Identity { get; }
}
