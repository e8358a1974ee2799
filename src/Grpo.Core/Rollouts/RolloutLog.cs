using Microsoft.Extensions.Logging;

namespace Grpo.Rollouts;

/// <summary>The log messages of sampling.</summary>
internal static partial class RolloutLog
{
    [LoggerMessage(
        EventId = 42, Level = LogLevel.Warning,
        Message = "{Failed} sequences at a time, of up to {Tokens} tokens, did not fit into memory; {Fitted} did. "
            + "From now on at most {Cached} tokens are cached: set MaxCachedTokens to that to save the failed attempt.")]
    public static partial void TooManySequences(this ILogger logger, int failed, long tokens, int fitted, long cached);
}
