using Microsoft.Extensions.Logging;

namespace Grpo.Checkpoints;

/// <summary>The log messages of checkpoint stores: event ids 60 to 69.</summary>
internal static partial class CheckpointLog
{
    [LoggerMessage(EventId = 60, Level = LogLevel.Information, Message = "Saved the checkpoint of step {Step} in {Folder}.")]
    public static partial void CheckpointSaved(this ILogger logger, long step, string folder);

    [LoggerMessage(EventId = 61, Level = LogLevel.Warning, Message = "Skipped the damaged checkpoint {Folder}: {Problem}.")]
    public static partial void CheckpointDamaged(this ILogger logger, string folder, string problem);

    [LoggerMessage(EventId = 62, Level = LogLevel.Information, Message = "Removed {Folder}, left behind by a save that was interrupted.")]
    public static partial void LeftoverRemoved(this ILogger logger, string folder);

    [LoggerMessage(EventId = 63, Level = LogLevel.Information, Message = "Removed the old checkpoint {Folder}.")]
    public static partial void CheckpointPruned(this ILogger logger, string folder);

    [LoggerMessage(EventId = 64, Level = LogLevel.Warning, Message = "Could not remove {Folder}; it can be deleted by hand.")]
    public static partial void RemovalFailed(this ILogger logger, Exception exception, string folder);

    [LoggerMessage(EventId = 65, Level = LogLevel.Debug, Message = "Left {Folder} alone: a save is running, or writing is not allowed.")]
    public static partial void LeftoverKept(this ILogger logger, string folder);

    [LoggerMessage(
        EventId = 66, Level = LogLevel.Warning,
        Message = "Cannot read which checkpoint is the best from {File}: {Problem}. Old checkpoints are kept until one is marked again.")]
    public static partial void BestMarkDamaged(this ILogger logger, string file, string problem);

    [LoggerMessage(
        EventId = 67, Level = LogLevel.Information,
        Message = "Put {Folder} in place: it is whole, only its save was interrupted before the end.")]
    public static partial void CheckpointRecovered(this ILogger logger, string folder);
}
