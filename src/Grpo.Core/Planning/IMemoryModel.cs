using Grpo.Optimization;

namespace Grpo.Planning;

/// <summary>Estimates a model's memory from its shape, before any weight is loaded. <see cref="MemoryPlanner"/> uses it.</summary>
public interface IMemoryModel
{
    /// <summary>True if log-probs compute a prompt once for all rows that share it.</summary>
    /// <value>Default false.</value>
    bool SharesPrompts => false;

    /// <summary>Estimates how much memory the model needs for passes of given sizes.</summary>
    /// <param name="sizes">The sizes of the largest passes of a run.</param>
    /// <returns>The needs in bytes.</returns>
    MemoryNeeds NeedsOf(MemorySizes sizes);

    /// <summary>Lists settings of this model that need less memory, the change with the lowest cost first.</summary>
    /// <returns>One entry per change; empty by default, when nothing can be changed.</returns>
    IReadOnlyList<LeanerModel> Leaner() => [];
}

/// <summary>A variant of a model that needs less memory.</summary>
/// <param name="Change">The change and its cost in a few words, such as "gradient checkpointing (…)".</param>
/// <param name="Model">The memory model with the change.</param>
public sealed record LeanerModel(string Change, IMemoryModel Model);
