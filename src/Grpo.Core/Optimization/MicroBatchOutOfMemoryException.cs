namespace Grpo.Optimization;

/// <summary>
/// A micro-batch did not fit into memory. Internal: <see cref="MicroBatchBudget"/> answers it with smaller ones, or with an
/// error for the user.
/// </summary>
#pragma warning disable CA1032 // says which rows, or nothing
internal sealed class MicroBatchOutOfMemoryException(IReadOnlyList<TrainingRow> rows, Exception cause)
#pragma warning restore CA1032
    : Exception("A micro-batch did not fit into memory.", cause)
{
    /// <summary>What was in it.</summary>
    public IReadOnlyList<TrainingRow> Rows { get; } = rows;
}
