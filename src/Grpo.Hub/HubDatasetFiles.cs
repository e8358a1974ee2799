using System.Text.RegularExpressions;

namespace Grpo.Hub;

/// <summary>The one file that holds a split of a data set, such as <c>main/train-00000-of-00001.parquet</c>.</summary>
internal sealed partial class HubDatasetFiles(HubRepositoryId id, string split) : HubFiles(id)
{
    private const long MaxDataBytes = 4L * 1024 * 1_048_576;

    // The configurations that are used if none is named. A configuration is a folder.
    private static readonly string[] Preferred = ["main", "default"];

    public override string ByHand => $"the file of the split '{split}'";

    /// <summary>False: the cache may hold one configuration of several, and only the hub's list tells which one to use.</summary>
    public override bool IsSettledByCommit => false;

    public override IReadOnlyList<string> Select(IReadOnlySet<string> available)
    {
        (string? file, string problem) = Choose(available);
        return file is not null
            ? [file]
            : throw new HubException(
                $"'{Id}' does not offer the split '{split}' as one file: {problem}. Pass files by hand: download what you need with "
                + $"'{Id.DownloadCommand} <file> --local-dir <folder>' and give its path in place of the id.");
    }

    public override long MaxBytes(string file) => MaxDataBytes;

    public override string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected) => cache.FilePath(commit, selected[0]);

    protected override (string? Path, string Missing) FindCommit(HubCache cache, string commit)
    {
        (string? file, string problem) = Choose(cache.Files(commit));
        return file is not null
            ? cache.FindProblem(commit, file) is { } damaged ? (null, $"{damaged} in '{cache.SnapshotPath(commit)}'") : (
                cache.FilePath(commit, file), "")
            : (null, $"the split '{split}' as one file in '{cache.SnapshotPath(commit)}': {problem}");
    }

    private (string? File, string Problem) Choose(IEnumerable<string> available)
    {
        string[] data = [.. available.Where(IsData).Order(StringComparer.Ordinal)];
        ILookup<string, string> configurations = data.Where(IsOfSplit).ToLookup(FolderOf, StringComparer.Ordinal);
        if (configurations.Count == 0)
        {
            return (null, data.Length == 0 ? "there is no .parquet or .jsonl file" : $"no file is named for it, only {List(data)}");
        }

        string? folder = Preferred.FirstOrDefault(configurations.Contains)
            ?? (configurations.Count == 1 ? configurations.Single().Key : null);
        if (folder is null)
        {
            string[] names = [.. configurations.Select(files => files.Key.Length == 0 ? "the root" : $"'{files.Key}'")];
            return (null, $"several configurations hold it ({List(names)}) and none is called 'main' or 'default'");
        }

        string[] found = [.. configurations[folder]];
        return found.Length == 1 && !Part().IsMatch(found[0])
            ? (found[0], "")
            : (null, $"it lies in several files, which are not joined ({List(found)})");
    }

    private static bool IsData(string file) =>
        file.EndsWith(".parquet", StringComparison.Ordinal) || file.EndsWith(".jsonl", StringComparison.Ordinal);

    // train.jsonl and train-00000-of-00001.parquet hold "train"; train_sft.jsonl holds another split.
    private bool IsOfSplit(string file)
    {
        ReadOnlySpan<char> name = file.AsSpan(file.LastIndexOf('/') + 1);
        return name.StartsWith(split, StringComparison.Ordinal) && name[split.Length..] is ['.' or '-', ..];
    }

    private static string FolderOf(string file) => file[..Math.Max(0, file.LastIndexOf('/'))];

    // One part of several, even if the others are missing: 2 or more after "-of-".
    [GeneratedRegex(@"-[0-9]+-of-0*(?:[2-9]|1[0-9])[0-9]*\.", RegexOptions.NonBacktracking)]
    private static partial Regex Part();
}
