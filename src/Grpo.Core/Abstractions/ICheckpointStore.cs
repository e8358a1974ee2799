namespace Grpo;

/// <summary>Keeps checkpoints; a checkpoint is a folder that a callback fills.</summary>
public interface ICheckpointStore
{
    /// <summary>Stores a checkpoint: it is either complete afterwards or absent.</summary>
    /// <param name="step">Steps done.</param>
    /// <param name="write">Fills the folder that it is given.</param>
    /// <param name="cancellationToken">Stops before anything is written.</param>
    /// <returns>The folder of the finished checkpoint.</returns>
    ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default);

    /// <summary>The folder of the newest complete checkpoint, or null when there is none.</summary>
    /// <param name="cancellationToken">Stops the search.</param>
    ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default);
}
