namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The exit codes of the process, in addition to 0 for success and 137 (−1 on Windows) if a second signal ends it at once.
/// </summary>
/// <remarks>After a second signal the last checkpoint is intact. A resumed run repeats the steps after it.</remarks>
internal static class ExitCodes
{
    /// <summary>An error, such as a wrong argument, an unreadable file or a missing device. The message says which.</summary>
    public const int Error = 1;

    /// <summary>The result of a replay differs from the record.</summary>
    public const int Different = 2;

    /// <summary>A plan needs more memory than is available.</summary>
    public const int DoesNotFit = 3;

    /// <summary>The process was stopped by Ctrl-C or SIGTERM. If a step was complete, a checkpoint was written.</summary>
    public const int Canceled = 130;
}
