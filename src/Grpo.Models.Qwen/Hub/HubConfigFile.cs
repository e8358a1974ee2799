namespace Grpo.Models.Qwen;

/// <summary>The configuration of a model alone: what its size is known from.</summary>
internal sealed class HubConfigFile(HubRepositoryId id) : HubFiles(id)
{
    public override string ByHand => "that folder";

    public override bool IsSettledByCommit => true;

    public override IReadOnlyList<string> Select(IReadOnlySet<string> available) => available.Contains(Qwen2ConfigFile.FileName)
        ? [Qwen2ConfigFile.FileName]
        : throw new HubException($"'{Id}' holds no {Qwen2ConfigFile.FileName}: it is not a model in Hugging Face format.");

    public override long MaxBytes(string file) => 1_048_576;

    public override string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected) => cache.SnapshotPath(commit);

    protected override (string? Path, string Missing) FindCommit(HubCache cache, string commit) =>
        cache.Lack(commit, Qwen2ConfigFile.FileName) is { } missing
            ? (null, $"{missing} in '{cache.SnapshotPath(commit)}'")
            : (cache.SnapshotPath(commit), "");
}
