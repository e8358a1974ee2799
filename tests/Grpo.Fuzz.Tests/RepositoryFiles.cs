using Grpo.Testing;

namespace Grpo.Fuzz.Tests;

/// <summary>The text files of the repository that people write: code, pages, project files and workflows, but no data files.</summary>
internal static class RepositoryFiles
{
    private static readonly string[] Extensions =
    [
        ".cs", ".csproj", ".props", ".targets", ".config", ".md", ".txt", ".yml", ".yaml", ".html", ".js", ".css", ".svg", ".editorconfig",
        ".gitignore",
    ];

    // The outputs of builds and runs. Folders whose name starts with a dot belong to tools, except for two.
    private static readonly string[] Outputs = ["bin", "obj", "artifacts", "runs", "TestResults"];
    private static readonly string[] DotFolders = [".ci", ".github"];

    /// <summary>Reads every file, or those of some folders.</summary>
    /// <param name="folders">Paths from the root of the repository. None: the whole repository.</param>
    /// <returns>The path from the root of the repository with slashes, and the lines.</returns>
    public static IEnumerable<(string File, string[] Lines)> Read(params string[] folders)
    {
        string root = SharedData.RepositoryRoot;
        foreach (string folder in folders.DefaultIfEmpty(""))
        {
            foreach (string path in Below(new DirectoryInfo(Path.Combine(root, folder))).Order(StringComparer.Ordinal))
            {
                yield return (Path.GetRelativePath(root, path).Replace('\\', '/'), File.ReadAllLines(path));
            }
        }
    }

    private static IEnumerable<string> Below(DirectoryInfo folder)
    {
        foreach (FileInfo file in folder.EnumerateFiles().Where(IsWritten))
        {
            yield return file.FullName;
        }

        foreach (DirectoryInfo inner in folder.EnumerateDirectories().Where(IsSource))
        {
            foreach (string path in Below(inner))
            {
                yield return path;
            }
        }
    }

    // A tiny tokenizer's merges and a test's expected losses are data in .txt files.
    private static bool IsWritten(FileInfo file) => file.Extension == ".txt"
        ? file.Name.StartsWith("PublicAPI.", StringComparison.Ordinal) || file.Name == "BannedSymbols.txt"
        : Extensions.Contains(file.Extension) || file.Directory!.Name == ".ci";

    private static bool IsSource(DirectoryInfo folder) =>
        !Outputs.Contains(folder.Name) && (!folder.Name.StartsWith('.') || DotFolders.Contains(folder.Name));
}
