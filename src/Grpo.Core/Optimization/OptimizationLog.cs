using Microsoft.Extensions.Logging;

namespace Grpo.Optimization;

/// <summary>The log messages of a training step.</summary>
internal static partial class OptimizationLog
{
    [LoggerMessage(
        EventId = 1, Level = LogLevel.Debug,
        Message = "Step {Step}: mean reward {MeanReward}, {MeanTokens} tokens per completion, {Seconds} s.")]
    public static partial void StepDone(this ILogger logger, long step, double meanReward, double meanTokens, double seconds);

    [LoggerMessage(EventId = 2, Level = LogLevel.Information, Message = "Step {Step}: every advantage is 0 and the loss has neither a KL "
        + "term nor an entropy bonus; the weights were left alone.")]
    public static partial void NothingLearned(this ILogger logger, long step);

    [LoggerMessage(EventId = 3, Level = LogLevel.Warning, Message = "Step {Step}: an update was skipped. {Reason}")]
    public static partial void UpdateSkipped(this ILogger logger, long step, string reason);

    [LoggerMessage(EventId = 5, Level = LogLevel.Warning, Message = "Step {Step}: {Warning}")]
    public static partial void AdapterDoesNotMove(this ILogger logger, long step, string warning);

    [LoggerMessage(
        EventId = 4, Level = LogLevel.Information, Message = "Step {Step}: the reference model was moved toward the policy, mix {Mix}.")]
    public static partial void ReferenceMoved(this ILogger logger, long step, double mix);

    [LoggerMessage(EventId = 11, Level = LogLevel.Warning, Message = "A micro-batch of {Completions} completions, {Tokens} tokens with "
        + "padding, did not fit into memory. From now on one holds at most {Limit} tokens; the mathematics stays the same. "
        + "Set MaxTokensPerMicroBatch to {Limit} to begin there. {Problem}")]
    public static partial void MicroBatchTooLarge(this ILogger logger, int completions, long tokens, long limit, string problem);

    [LoggerMessage(EventId = 21, Level = LogLevel.Warning, Message = "Reward {Reward} abstained on {Abstained} of {Total} completions.")]
    public static partial void RewardAbstained(this ILogger logger, string reward, int abstained, int total);

    [LoggerMessage(EventId = 22, Level = LogLevel.Warning, Message = "{Errors} rewards failed and were left out. The first: {Problem}")]
    public static partial void RewardFailed(this ILogger logger, int errors, string problem);
}
