namespace Grpo.Modeling;

/// <summary>Compares lists of token ids by their content.</summary>
internal sealed class TokenIdsComparer : IEqualityComparer<IReadOnlyList<int>>
{
    public static readonly TokenIdsComparer Instance = new();

    public bool Equals(IReadOnlyList<int>? first, IReadOnlyList<int>? second) =>
        ReferenceEquals(first, second) || (first is not null && second is not null && first.SequenceEqual(second));

    public int GetHashCode(IReadOnlyList<int> ids)
    {
        var hash = default(HashCode);
        for (int i = 0; i < ids.Count; i++)
        {
            hash.Add(ids[i]);
        }

        return hash.ToHashCode();
    }
}
