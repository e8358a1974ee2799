using Grpo.IO;

namespace Grpo.Hub;

/// <summary>Finds the files of a folder that an upload sends.</summary>
internal static class UploadFolder
{
    private const int MaxFiles = 10_000;
    private const int MaxDepth = 32;

    // Whatever the options say: another repository, unfinished files, and files that hold secrets or name this machine. A folder of such a
    // name is left out as a whole.
    private static readonly PathPattern[] Never =
    [
        .. new[]
        {
            ".git", ".cache", "*.tmp", ".tmp-*", "*.temp", "*.part", "*.partial", "*.incomplete", "*.lock", ".run.owner", "*~", "*.swp",
            ".DS_Store", "Thumbs.db", "__pycache__", ".ipynb_checkpoints", ".env", ".env.*", ".netrc", ".git-credentials", ".ssh", "*.pem",
            "id_rsa", "id_ecdsa", "id_ed25519", "token", "stored_tokens", "base_model_location.json",
        }.Select(pattern => new PathPattern(pattern)),
    ];

    // What Grpo, and Python's trainers, write to continue a run. Nobody needs it to use the model.
    private static readonly PathPattern[] TrainingState =
    [
        .. new[]
        {
            "optimizer.safetensors", "reference.safetensors", "optimizer.pt", "optimizer.bin", "scheduler.pt", "scaler.pt",
            "rng_state*.pth", "training_args.bin", "*_state.json", "checkpoint.json", "best.json", "log_counts.json", "run_options.json",
            "metrics.jsonl", "completions.jsonl", "flight.bin", "report.html", "events.out.tfevents.*", "**/checkpoint-*/**",
            "**/checkpoints/**",
        }.Select(pattern => new PathPattern(pattern)),
    ];

    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="HubException">The folder holds what cannot be uploaded, or no file is left.</exception>
    public static HubUploadList List(string folder, HubUploadOptions options)
    {
        var root = new DirectoryInfo(Path.GetFullPath(folder));
        if (!root.Exists)
        {
            throw new DirectoryNotFoundException(
                $"There is no folder '{TerminalText.EscapeLine(folder)}'. Give the folder of a model, such as the last checkpoint of a "
                + "run.");
        }

        PathPattern[] include = [.. options.Include.Select(pattern => new PathPattern(pattern))];
        PathPattern[] exclude = [.. options.Exclude.Select(pattern => new PathPattern(pattern))];
        var files = new List<HubUploadFile>();
        var leftOut = new List<string>();
        Walk(root, string.Empty, 0);
        files.Sort((a, b) => string.CompareOrdinal(a.Path, b.Path));
        leftOut.Sort(StringComparer.Ordinal);
        return files.Count > 0
            ? new HubUploadList(files, leftOut)
            : throw new HubException(
                $"'{folder}' holds no file to upload. {leftOut.Count} were left out by the patterns; give the folder of a model, or other "
                + "patterns (Include, Exclude).");

        void Walk(DirectoryInfo directory, string prefix, int depth)
        {
            foreach (FileSystemInfo item in directory.EnumerateFileSystemInfos())
            {
                string path = prefix + item.Name;
                bool isFolder = item.Attributes.HasFlag(FileAttributes.Directory);
                if (!IsWanted(isFolder ? path + "/x" : path, isFolder))
                {
                    leftOut.Add(isFolder ? path + "/" : path);
                }
                else if (isFolder)
                {
                    Enter(new DirectoryInfo(item.FullName), path, depth);
                }
                else
                {
                    Add(new FileInfo(item.FullName), path);
                }
            }
        }

        // The wishes of the caller are about files. A folder is left out if all that it can hold is.
        bool IsWanted(string path, bool isFolder) => !IsNeverSent(path)
            && (options.IncludeTrainingState || !Matches(TrainingState, path))
            && (isFolder || (Matches(include, path) && !Matches(exclude, path)));

        void Enter(DirectoryInfo directory, string path, int depth)
        {
            if (directory.LinkTarget is not null)
            {
                throw new HubException(
                    $"'{path}/' is a link to a folder, which is not uploaded. Replace it with the files, or move it away.");
            }

            if (depth >= MaxDepth)
            {
                throw new HubException($"'{path}' lies deeper than {MaxDepth} folders. Is '{folder}' the folder of a model?");
            }

            Walk(directory, path + "/", depth + 1);
        }

        void Add(FileInfo file, string path)
        {
            if (!HubNames.IsInsideFolder(path))
            {
                throw new HubException(
                    $"'{TerminalText.EscapeLine(path)}' cannot be the name of a file on the hub, because some system does not allow it. "
                    + "Rename it, or exclude it.");
            }

            files.Add(new HubUploadFile(path, Resolve(root, file, path).Length));
            if (files.Count > MaxFiles)
            {
                throw new HubException($"'{folder}' holds more than {MaxFiles} files. Is it the folder of a model?");
            }
        }
    }

    /// <summary>Returns the file that holds the content of a path: itself, or the target of a link inside the folder.</summary>
    public static FileInfo Resolve(DirectoryInfo root, FileInfo file, string path)
    {
        if (file.LinkTarget is null)
        {
            return file;
        }

        string inside = root.FullName.TrimEnd(Path.DirectorySeparatorChar) + Path.DirectorySeparatorChar;
        return file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo { Exists: true } target
            && target.FullName.StartsWith(inside, StringComparison.Ordinal)
            && !IsBehindLink(target.Directory, inside)
            && !IsNeverSent(Path.GetRelativePath(root.FullName, target.FullName).Replace(Path.DirectorySeparatorChar, '/'))
            ? target
            : throw new HubException(
                $"'{path}' is a link to a file outside of the folder, which is not uploaded. Replace it with the file, or exclude it.");
    }

    // The final target is known by its path only: a folder in that path may itself be a link, which no walk has refused if it is left out.
    private static bool IsBehindLink(DirectoryInfo? folder, string inside)
    {
        for (; folder is not null && folder.FullName.StartsWith(inside, StringComparison.Ordinal); folder = folder.Parent)
        {
            if (folder.LinkTarget is not null)
            {
                return true;
            }
        }

        return false;
    }

    // A path of which any part has such a name: the file itself, or a folder that it is in.
    private static bool IsNeverSent(string path)
    {
        for (int end = path.IndexOf('/'); end >= 0; end = path.IndexOf('/', end + 1))
        {
            if (Matches(Never, path[..end]))
            {
                return true;
            }
        }

        return Matches(Never, path);
    }

    private static bool Matches(PathPattern[] patterns, string path) => Array.Exists(patterns, pattern => pattern.IsMatch(path));
}
