using Grpo.Testing;

namespace Grpo.Package.Tests;

/// <summary>
/// The four packages, packed once from a copy of the repository, so that a test run that is still building is not disturbed.
/// </summary>
public sealed class PackedPackages : IDisposable
{
    private static readonly string[] Projects = ["Grpo.Core", "Grpo.Hub", "Grpo.Models.Qwen", "Grpo.Rewards"];
    private static readonly string[] RootFiles =
        ["Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "global.json", "nuget.config", ".editorconfig",
            "BannedSymbols.txt", "README.md", "LICENSE"];

    public PackedPackages()
    {
        string copy = Path.Combine(Root, "repository");
        Directory.CreateDirectory(copy);
        foreach (string file in RootFiles)
        {
            File.Copy(Path.Combine(SharedData.RepositoryRoot, file), Path.Combine(copy, file));
        }

        foreach (string project in Projects)
        {
            CopySources(Path.Combine(SharedData.RepositoryRoot, "src", project), Path.Combine(copy, "src", project));
        }

        File.WriteAllText(
            Path.Combine(copy, "Packages.slnx"),
            $"<Solution>{string.Concat(Projects.Select(project => $"<Project Path=\"src/{project}/{project}.csproj\" />"))}</Solution>");

        // Analysis has run in the outer build.
        DotNet.Run(
            copy, new Dictionary<string, string?>(), "pack", "Packages.slnx", "-c", "Release", "-o", Feed, $"-p:Version={Version}",
            "-p:RunAnalyzers=false");
    }

    /// <summary>A folder that is deleted in the end.</summary>
    public string Root { get; } = Directory.CreateTempSubdirectory("grpo-packages-").FullName;

    /// <summary>The folder of the packages.</summary>
    public string Feed => Path.Combine(Root, "feed");

    /// <summary>Never used before, so no cache holds an older build under it.</summary>
    public string Version { get; } = $"0.1.0-test.{Guid.NewGuid():N}";

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private static void CopySources(string source, string target)
    {
        Directory.CreateDirectory(target);
        foreach (string file in Directory.EnumerateFiles(source))
        {
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        }

        foreach (string folder in Directory.EnumerateDirectories(source).Where(folder => Path.GetFileName(folder) is not ("bin" or "obj")))
        {
            CopySources(folder, Path.Combine(target, Path.GetFileName(folder)));
        }
    }
}
