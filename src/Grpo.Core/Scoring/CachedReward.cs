using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Grpo.Scoring;

/// <summary>
/// The reward function of <see cref="RewardFunction.Cached"/>. It stores a hash and a reward per completion, never the completion.
/// </summary>
internal sealed class CachedReward(IRewardFunction inner, int capacity) : IWeightedReward, IHasIdentity
{
    private readonly Lock _lock = new();
    private readonly Dictionary<Key, LinkedListNode<(Key Key, Reward Reward)>> _entries = [];
    private readonly LinkedList<(Key Key, Reward Reward)> _byUse = new(); // the most recently used first

    public string Name => inner.Name;

    public IReadOnlyDictionary<string, double>? PartWeights => (inner as IWeightedReward)?.PartWeights;

    // A cache changes no value, so a reward has the same identity with and without one.
    public PlugInIdentity Identity => PlugInIdentity.Of(inner);

    /// <summary>The number of rewards in the cache.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _entries.Count;
            }
        }
    }

    public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(group);
        RewardOutcome[] outcomes = await InvokeAsync(group, cancellationToken).ConfigureAwait(false);
        return [.. outcomes.Select(outcome => outcome.Error is null ? outcome.Reward : throw outcome.Error)];
    }

    /// <summary>Returns an outcome per completion, from the cache or from the inner reward.</summary>
    public async ValueTask<RewardOutcome[]> InvokeAsync(RolloutGroup group, CancellationToken cancellationToken)
    {
        Key[] keys = [.. group.Completions.Select(completion => KeyOf(group.Prompt, completion))];
        var known = new Dictionary<Key, RewardOutcome>();
        List<int> missing = [];
        lock (_lock)
        {
            for (int i = 0; i < keys.Length; i++)
            {
                if (_entries.TryGetValue(keys[i], out LinkedListNode<(Key Key, Reward Reward)>? entry))
                {
                    _byUse.Remove(entry);
                    _byUse.AddFirst(entry);
                    known[keys[i]] = new RewardOutcome(entry.Value.Reward, null);
                }
                else if (known.TryAdd(keys[i], default)) // equal completions of a group are scored once
                {
                    missing.Add(i);
                }
            }
        }

        if (missing.Count > 0)
        {
            var rest = group with { Completions = [.. missing.Select(index => group.Completions[index])] };
            RewardOutcome[] outcomes = await RewardCall.InvokeAsync(inner, rest, cancellationToken).ConfigureAwait(false);
            for (int i = 0; i < missing.Count; i++)
            {
                known[keys[missing[i]]] = WithIndex(outcomes[i], group, missing[i]);
                Keep(keys[missing[i]], outcomes[i]);
            }
        }

        return [.. keys.Select(key => known[key])];
    }

    // The inner reward names a failed completion by its index among the missing ones. This restores the index in the whole group.
    private static RewardOutcome WithIndex(RewardOutcome outcome, RolloutGroup group, int index) =>
        outcome.Error is { CompletionIndex: not null } error
            ? new RewardOutcome(default, error.At(group.Prompt.Id, index))
            : outcome;

    // Failures and abstentions are not cached: their cause, such as a service that is down, may pass.
    private void Keep(Key key, RewardOutcome outcome)
    {
        if (outcome.Error is not null || outcome.Reward.Value is null)
        {
            return;
        }

        lock (_lock)
        {
            if (_entries.ContainsKey(key))
            {
                return; // another group has added the entry in the meantime
            }

            _entries[key] = _byUse.AddFirst((key, outcome.Reward));
            if (_entries.Count > capacity)
            {
                _entries.Remove(_byUse.Last!.Value.Key);
                _byUse.RemoveLast();
            }
        }
    }

    private static Key KeyOf(Prompt prompt, Completion completion)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] id = Encoding.UTF8.GetBytes(prompt.Id);
        Span<byte> numbers = stackalloc byte[8];
        BinaryPrimitives.WriteInt32LittleEndian(numbers, id.Length);
        BinaryPrimitives.WriteInt32LittleEndian(numbers[4..], (int)completion.FinishReason);
        hash.AppendData(numbers);
        hash.AppendData(id);
        hash.AppendData(MemoryMarshal.AsBytes<int>(completion.TokenIds.ToArray()));
        byte[] digest = hash.GetHashAndReset();
        return new Key(BinaryPrimitives.ReadUInt128LittleEndian(digest), BinaryPrimitives.ReadUInt128LittleEndian(digest.AsSpan(16)));
    }

    /// <summary>The SHA-256 hash of prompt id, finish reason and tokens, which identifies a completion.</summary>
    private readonly record struct Key(UInt128 Low, UInt128 High);
}
