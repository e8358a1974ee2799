namespace Grpo.Core.Tests.Tensors;

/// <summary>A fact about Linux's loader, and says so on other systems.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LinuxFactAttribute : FactAttribute
{
    public LinuxFactAttribute()
    {
        if (!OperatingSystem.IsLinux())
        {
            Skip = "The repair of TorchSharp's native library concerns Linux only.";
        }
    }
}
