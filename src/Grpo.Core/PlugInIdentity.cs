using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Grpo.Modeling;

namespace Grpo;

/// <summary>The identity of a plug-in: what kind it is, and facts about it by name, as texts that a person can read.</summary>
/// <remarks>Immutable: each method returns a new identity.</remarks>
public sealed partial class PlugInIdentity
{
    // A longer text is shown by its beginning and its hash: a checkpoint holds the facts, and a message two of each.
    private const int LongestText = 300;
    private const int ShownOfLongText = 120;

    private readonly KeyValuePair<string, string>[] _facts;

    /// <summary>Creates an identity without facts.</summary>
    /// <param name="kind">The kind of plug-in, such as "Qwen2". It stays the same when the type is renamed.</param>
    public PlugInIdentity(string kind)
        : this(Checked(kind), [])
    {
    }

    private PlugInIdentity(string kind, KeyValuePair<string, string>[] facts)
    {
        Kind = kind;
        _facts = facts;
    }

    /// <summary>The kind of plug-in.</summary>
    public string Kind { get; }

    /// <summary>The facts, in the order in which they were added. Those of a part are named "part.fact", and its kind "part".</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Facts => _facts;

    /// <summary>Adds a fact.</summary>
    /// <param name="name">The name of the fact, such as "answer format". Unique within the identity.</param>
    /// <param name="value">
    /// The value. Null adds nothing, so that a fact that a later version adds does not refuse the runs of earlier ones.
    /// </param>
    /// <exception cref="ArgumentException">The name is empty, or there is a fact of this name.</exception>
    public PlugInIdentity With(string name, string? value)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return value is null ? this : Add([new(name, Shorten(value))]);
    }

    /// <summary>Adds a number or an enum value, as the invariant culture writes it.</summary>
    /// <inheritdoc cref="With(string, string)"/>
    public PlugInIdentity With(string name, IFormattable? value) => With(name, value?.ToString(null, CultureInfo.InvariantCulture));

    /// <summary>Adds the identity of another plug-in that this one consists of or asks.</summary>
    /// <param name="name">The name of the part, such as "inner".</param>
    /// <param name="plugIn">The other plug-in, with or without <see cref="IHasIdentity"/>.</param>
    /// <exception cref="ArgumentException">The name is empty, or there is a fact of this name.</exception>
    public PlugInIdentity WithPart(string name, object plugIn)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        return Add([.. Of(plugIn).Under(name)]);
    }

    /// <summary>Returns the identity of a plug-in: its own, or its type where it has none. A reward also has its name.</summary>
    /// <param name="plugIn">The plug-in.</param>
    /// <exception cref="InvalidOperationException"><see cref="IHasIdentity.Identity"/> is null.</exception>
    public static PlugInIdentity Of(object plugIn)
    {
        ArgumentNullException.ThrowIfNull(plugIn);
        PlugInIdentity identity = plugIn is IHasIdentity known
            ? known.Identity ?? throw new InvalidOperationException(
                $"{plugIn.GetType().Name}.Identity is null. Return what tells it from others, or leave IHasIdentity out.")
            : OfType(plugIn);
        return plugIn is IRewardFunction reward && !identity.Has("name") ? identity.With("name", reward.Name) : identity;
    }

    /// <summary>The facts with a name before each, the kind first.</summary>
    internal IEnumerable<KeyValuePair<string, string>> Under(string name) =>
        _facts.Select(fact => new KeyValuePair<string, string>($"{name}.{fact.Key}", fact.Value)).Prepend(new(name, Kind));

    /// <summary>True if there is a fact of this name.</summary>
    internal bool Has(string name) => _facts.Any(fact => fact.Key == name);

    // What the interface itself says of a plug-in that says nothing of itself.
    private static PlugInIdentity OfType(object plugIn)
    {
        var identity = new PlugInIdentity(FileOfType().Replace(plugIn.GetType().ToString(), "")); // FullName has versions of assemblies
        return plugIn is not ITokenizer tokenizer ? identity : identity
            .With("tokens", tokenizer.VocabularySize)
            .With("end tokens", string.Join(", ", tokenizer.EndTokenIds.Order()))
            .With("pad token", tokenizer.PadTokenId);
    }

    // What the compiler puts before the name of a type that is local to a file: the file, and a hash of its path.
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
