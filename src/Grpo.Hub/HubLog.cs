using Microsoft.Extensions.Logging;

namespace Grpo.Hub;

internal static partial class HubLog
{
    [LoggerMessage(EventId = 401, Level = LogLevel.Warning, Message = "{Problem} Attempt {Attempt} of {MaxAttempts} follows in {Wait}.")]
    public static partial void Retrying(this ILogger logger, string problem, int attempt, int maxAttempts, TimeSpan wait);

    [LoggerMessage(
        EventId = 402,
        Level = LogLevel.Warning,
        Message = "{Problem} The cached '{Path}' is used; the hub may have a newer one.")]
    public static partial void UsingCache(this ILogger logger, string problem, string path);

    [LoggerMessage(EventId = 403, Level = LogLevel.Warning, Message = "'{File}' is being downloaded by another process; waiting for it.")]
    public static partial void WaitingForOther(this ILogger logger, string file);

    [LoggerMessage(
        EventId = 404, Level = LogLevel.Warning, Message = "'{File}' was resumed and is not what the hub promised; it starts again.")]
    public static partial void StartingAgain(this ILogger logger, string file);

    [LoggerMessage(
        EventId = 405,
        Level = LogLevel.Warning,
        Message = "'{File}' in the cache is damaged: its content does not have the right hash. It is fetched again.")]
    public static partial void Damaged(this ILogger logger, string file);

    [LoggerMessage(
        EventId = 406,
        Level = LogLevel.Warning,
        Message = "'{Path}' holds files and no links to blobs, so there is no hash to check them with. "
            + "Without the hub they are taken as they are.")]
    public static partial void Unchecked(this ILogger logger, string path);
}
