using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>The log messages of a training run.</summary>
internal static partial class TrainingLog
{
    [LoggerMessage(EventId = 31, Level = LogLevel.Information, Message = "Resumed from {Checkpoint} at step {Step}.")]
    public static partial void Resumed(this ILogger logger, string checkpoint, long step);

    [LoggerMessage(EventId = 32, Level = LogLevel.Information, Message = "Checkpoint {Checkpoint} written.")]
    public static partial void CheckpointWritten(this ILogger logger, string checkpoint);

    [LoggerMessage(
        EventId = 33, Level = LogLevel.Information,
        Message = "Step {Step} is the best so far: held-out accuracy {Accuracy}, mean reward {MeanReward}.")]
    public static partial void BestSoFar(this ILogger logger, long step, double? accuracy, double meanReward);

    [LoggerMessage(EventId = 34, Level = LogLevel.Warning, Message = "The policy has collapsed at step {Step}. {Reason} {Consequence}")]
    public static partial void Collapsed(this ILogger logger, long step, string reason, string consequence);

    [LoggerMessage(
        EventId = 35, Level = LogLevel.Warning, Message = "The best checkpoint, of step {Step}, is no longer there or not complete.")]
    public static partial void BestCheckpointMissing(this ILogger logger, long step);

    [LoggerMessage(
        EventId = 36, Level = LogLevel.Warning,
        Message = "Curriculum is on, but the reward does not judge what is correct (Reward.IsCorrect): no prompt is passed over.")]
    public static partial void NothingJudged(this ILogger logger);

    [LoggerMessage(
        EventId = 37, Level = LogLevel.Error, Message = "The callback {Callback} failed at the end of a run that did not end in order.")]
    public static partial void EndCallbackFailed(this ILogger logger, Exception exception, string callback);

    [LoggerMessage(
        EventId = 38, Level = LogLevel.Warning,
        Message = "The checkpoint {Checkpoint} does not say which options it was written with, so they were not compared.")]
    public static partial void OptionsNotSaved(this ILogger logger, string checkpoint);

    [LoggerMessage(EventId = 39, Level = LogLevel.Warning, Message = "Resumed with other {What}, as allowed: {Differences}.")]
    public static partial void OptionsChanged(this ILogger logger, string what, string differences);

    [LoggerMessage(EventId = 40, Level = LogLevel.Error, Message = "The checkpoint of step {Step} was not written; the run goes on.")]
    public static partial void CheckpointFailed(this ILogger logger, Exception exception, long step);

    [LoggerMessage(
        EventId = 68, Level = LogLevel.Error,
        Message = "The checkpoint of step {Step} was written, but it could not be marked as the best; the run goes on.")]
    public static partial void BestMarkFailed(this ILogger logger, Exception exception, long step);

    [LoggerMessage(
        EventId = 51, Level = LogLevel.Error, Message = "The run ended early, and the checkpoint of step {Step} could not be written.")]
    public static partial void LastCheckpointFailed(this ILogger logger, Exception exception, long step);

    [LoggerMessage(
        EventId = 52, Level = LogLevel.Warning,
        Message = "The run ended early, without a checkpoint of what came after the last one: {Reason}")]
    public static partial void LastCheckpointLeftOut(this ILogger logger, string reason);

    [LoggerMessage(EventId = 53, Level = LogLevel.Error, Message = "The callback {Callback} failed as well.")]
    public static partial void CallbackFailed(this ILogger logger, Exception exception, string callback);

    [LoggerMessage(EventId = 54, Level = LogLevel.Warning, Message = "{Problem}")]
    public static partial void CallbackWarned(this ILogger logger, string problem);

    [LoggerMessage(EventId = 55, Level = LogLevel.Warning, Message = "The checkpoint {Checkpoint} does not say which model, tokenizer, "
        + "reward and arithmetic it was written with, so they were not compared.")]
    public static partial void IdentityNotSaved(this ILogger logger, string checkpoint);

    [LoggerMessage(
        EventId = 56, Level = LogLevel.Warning,
        Message = "Evaluations before and after the checkpoint cannot be compared with each other: {Differences}.")]
    public static partial void EvaluatorChanged(this ILogger logger, string differences);
}
