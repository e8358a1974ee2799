namespace Grpo.Checkpoints;

/// <summary>Stores the checkpoints of a training run. A checkpoint is a folder that the caller fills.</summary>
public interface ICheckpointStore
{
    /// <summary>Claims the store for one training run, until the result is disposed.</summary>
    /// <returns>The claim; null if several runs may share the store, which is the default.</returns>
    /// <exception cref="IOException">Another run, in any process, has claimed the store, or the store cannot be written to.</exception>
    IDisposable? BeginRun() => null;

    /// <summary>Stores a checkpoint, atomically: afterward it is complete or absent.</summary>
    /// <param name="step">The number of steps done.</param>
    /// <param name="write">The function that writes the files into the folder that it receives.</param>
    /// <param name="cancellationToken">A token that stops before anything is written.</param>
    /// <returns>The folder of the complete checkpoint.</returns>
    ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default);

    /// <summary>Finds the newest complete checkpoint.</summary>
    /// <param name="cancellationToken">A token that stops the search.</param>
    /// <returns>The folder of the checkpoint; null if there is none.</returns>
    /// <exception cref="InvalidDataException">
    /// All checkpoints are damaged. This is an error so that no run silently starts over.
    /// </exception>
    ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default);

    /// <summary>Marks a checkpoint as the best so far, in place of the previous best. A marked checkpoint is not removed.</summary>
    /// <param name="step">The step under which the checkpoint was saved.</param>
    /// <param name="cancellationToken">A token that stops before anything is changed.</param>
    /// <returns>The folder of the checkpoint. Null if there is no complete checkpoint of the step; the mark is then unchanged.</returns>
    ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default);

    /// <summary>Finds the checkpoint that is marked as the best.</summary>
    /// <param name="cancellationToken">A token that stops the search.</param>
    /// <returns>The folder of the checkpoint; null if none is marked or the marked one is not complete.</returns>
    ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default);
}
