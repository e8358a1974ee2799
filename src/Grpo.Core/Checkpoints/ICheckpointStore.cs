namespace Grpo.Checkpoints;

/// <summary>Keeps checkpoints; a checkpoint is a folder that a callback fills.</summary>
public interface ICheckpointStore
{
    /// <summary>Claims the store for one training run, until the result is disposed.</summary>
    /// <returns>Default null: the store may be shared.</returns>
    /// <exception cref="IOException">Another run has claimed it, in this process or another, or it cannot be written to.</exception>
    IDisposable? BeginRun() => null;

    /// <summary>Stores a checkpoint: it is either complete afterwards or absent.</summary>
    /// <param name="step">Steps done.</param>
    /// <param name="write">Fills the folder that it is given.</param>
    /// <param name="cancellationToken">Stops before anything is written.</param>
    /// <returns>The folder of the finished checkpoint.</returns>
    ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default);

    /// <summary>The folder of the newest complete checkpoint, or null when there is none.</summary>
    /// <param name="cancellationToken">Stops the search.</param>
    /// <exception cref="InvalidDataException">There are checkpoints, and all are damaged: a run must not begin anew over them unasked.</exception>
    ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default);

    /// <summary>Marks a checkpoint as the best so far, in place of the one that was: it is not removed while it is marked.</summary>
    /// <param name="step">The step it was saved under.</param>
    /// <param name="cancellationToken">Stops before anything is changed.</param>
    /// <returns>Its folder, or null when there is no complete checkpoint of that step: the mark is then where it was.</returns>
    ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default);

    /// <summary>The folder of the checkpoint that is marked as the best, or null when none is or it is not complete.</summary>
    /// <param name="cancellationToken">Stops the search.</param>
    ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default);
}
