namespace Grpo.Samples.Gsm8k;

/// <summary>
/// What the process returns, beside 0 for success, and 137 (−1 on Windows) when a second signal ends it at once: the last checkpoint
/// is intact then, and what came after it is done again when the run is resumed.
/// </summary>
internal static class ExitCodes
{
    /// <summary>A wrong argument, an unreadable file, a missing device: the message says which.</summary>
    public const int Error = 1;

    /// <summary>A replay came out otherwise than the record says.</summary>
    public const int Different = 2;

    /// <summary>A plan needs more memory than there is.</summary>
    public const int DoesNotFit = 3;

    /// <summary>Stopped by Ctrl-C or SIGTERM; a checkpoint was written when a step had been done.</summary>
    public const int Cancelled = 130;
}
