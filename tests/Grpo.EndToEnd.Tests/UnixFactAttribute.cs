namespace Grpo.EndToEnd.Tests;

/// <summary>A fact that sends a signal to one process, which Windows cannot.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class UnixFactAttribute : FactAttribute
{
    public UnixFactAttribute()
    {
        if (OperatingSystem.IsWindows())
        {
            Skip = "A console interrupt cannot be sent to a single process on Windows.";
        }
    }
}
