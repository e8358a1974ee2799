using Grpo.Optimization;

namespace Grpo.Planning;

/// <summary>Knows from a model's shape how much memory it is going to need; no weights are there yet. <see cref="MemoryPlanner"/> asks it.</summary>
public interface IMemoryModel
{
    /// <summary>Whether log-probs compute a prompt once for all rows that share it.</summary>
    bool SharesPrompts => false;

    /// <summary>Bytes that the model needs for passes of such sizes.</summary>
    /// <param name="sizes">The largest that a run comes to.</param>
    MemoryNeeds NeedsOf(MemorySizes sizes);

    /// <summary>The same model set up to need less; the change that costs least comes first. Empty when nothing can be changed.</summary>
    IReadOnlyList<LeanerModel> Leaner() => [];
}
