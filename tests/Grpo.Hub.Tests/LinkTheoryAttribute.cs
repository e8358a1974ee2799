using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>A theory that makes symbolic links, which Windows allows in developer mode only.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LinkTheoryAttribute : TheoryAttribute
{
    public LinkTheoryAttribute()
    {
        if (!Links.CanBeMade)
        {
            Skip = "This user may not make symbolic links.";
        }
    }
}

/// <summary>Symbolic links of the tests.</summary>
internal static class Links
{
    /// <summary>True if this user may make symbolic links.</summary>
    public static bool CanBeMade { get; } = TryMake();

    /// <summary>Makes a link at a path, in place of the file or folder that may be there.</summary>
    public static void Plant(string path, string target)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }

        File.Delete(path);
        File.CreateSymbolicLink(path, target);
    }

    private static bool TryMake()
    {
        using var folder = new TemporaryFolder();
        try
        {
            File.CreateSymbolicLink(folder["link"], "nowhere");
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
