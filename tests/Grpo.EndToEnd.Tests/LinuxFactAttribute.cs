namespace Grpo.EndToEnd.Tests;

/// <summary>A fact about Linux: limits of a process, and what /proc says of it.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LinuxFactAttribute : FactAttribute
{
    public LinuxFactAttribute()
    {
        if (!OperatingSystem.IsLinux())
        {
            Skip = "The limit of a process's memory is set, and its use is read, as Linux has them.";
        }
    }
}
