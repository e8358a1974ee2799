using Xunit;

namespace Grpo.Testing;

/// <summary>Reference data that lies beside the repository and is not part of it.</summary>
public static class SharedData
{
    private static readonly AsyncLocal<string?> Other = new();

    /// <summary>The folder, or null where there is none: GRPO_SHARED, else "shared" beside the repository.</summary>
    public static string? Root { get; } = Find();

    /// <summary>
    /// Reads "golden" from another folder in this test, until the result is disposed; tests that run beside it keep theirs.
    /// </summary>
    public static IDisposable UseGolden(string root)
    {
        Other.Value = root;
        return new Return();
    }

    /// <summary>The full path of a file or folder below <see cref="Root"/>.</summary>
    public static string Path(params ReadOnlySpan<string> parts) =>
        System.IO.Path.Combine([(parts[0] == "golden" ? Other.Value : null) ?? Root
            ?? throw new InvalidOperationException("No shared data; mark the test [SharedFact]."), .. parts]);

    /// <summary>The repository's root: the folder of Grpo.sln.</summary>
    public static string RepositoryRoot => FindUp("Grpo.sln")
        ?? throw new InvalidOperationException("Grpo.sln was not found above " + AppContext.BaseDirectory);

    private sealed class Return : IDisposable
    {
        public void Dispose() => Other.Value = null;
    }

    private static string? Find()
    {
        if (Environment.GetEnvironmentVariable("GRPO_SHARED") is { Length: > 0 } set)
        {
            return set;
        }

        string beside = System.IO.Path.Combine(RepositoryRoot, "..", "shared");
        return Directory.Exists(System.IO.Path.Combine(beside, "golden")) ? System.IO.Path.GetFullPath(beside) : null;
    }

    private static string? FindUp(string file)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, file)))
            {
                return folder.FullName;
            }
        }

        return null;
    }
}

/// <summary>A fact that needs the shared reference data, and says so where it is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SharedFactAttribute : FactAttribute
{
    public SharedFactAttribute()
    {
        if (SharedData.Root is null)
        {
            Skip = "The reference data folder 'shared' is not beside the repository (or named by GRPO_SHARED).";
        }
    }
}

/// <summary>A theory that needs the shared reference data, and says so where it is missing.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute()
    {
        if (SharedData.Root is null)
        {
            Skip = "The reference data folder 'shared' is not beside the repository (or named by GRPO_SHARED).";
        }
    }
}
