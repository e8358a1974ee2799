using System.Diagnostics;

namespace Grpo.Core.Tests.Checkpoints;

/// <summary>A fact that mounts a small file system, and says so where that is not possible.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RootFactAttribute : FactAttribute
{
    public RootFactAttribute() => Skip = SmallDisk.Reason;
}

/// <summary>A theory that mounts a small file system, and says so where that is not possible.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RootTheoryAttribute : TheoryAttribute
{
    public RootTheoryAttribute() => Skip = SmallDisk.Reason;
}

/// <summary>Whether a file system of one megabyte can be had here.</summary>
internal static class SmallDisk
{
    public static string? Reason { get; } = Find();

    // By trying: root in a container may lack the right all the same.
    private static string? Find()
    {
        if (!OperatingSystem.IsLinux())
        {
            return "A small tmpfs is mounted on Linux only.";
        }

        string folder = Directory.CreateTempSubdirectory("grpo-mount-").FullName;
        try
        {
            if (Run("mount", "-t", "tmpfs", "-o", "size=1m", "grpo-test", folder) != 0)
            {
                return "Mounting a tmpfs takes root and the right to mount.";
            }

            Run("umount", folder);
            return null;
        }
        finally
        {
            Directory.Delete(folder);
        }
    }

    private static int Run(string program, params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
            process.StandardError.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return -1; // there is no such program
        }
    }
}
