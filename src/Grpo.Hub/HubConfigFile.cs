namespace Grpo.Hub;

/// <summary>The configuration of a model, from which its size is known, and the small files that may hold its chat template.</summary>
internal sealed class HubConfigFile(HubRepositoryId id) : HubFiles(id)
{
    private static readonly string[] Templates = [HubModelFiles.TokenizerConfiguration, HubModelFiles.Template, HubModelFiles.OlderTemplate];

    public override string ByHand => "that folder";

    public override bool IsSettledByCommit => true;

    public override IReadOnlyList<string> Select(IReadOnlySet<string> available) => available.Contains(HubModelFiles.Configuration)
        ? [HubModelFiles.Configuration, .. Templates.Where(available.Contains)]
        : throw new HubException($"'{Id}' holds no {HubModelFiles.Configuration}: it is not a model in Hugging Face format.");

    public override long MaxBytes(string file) => (file == HubModelFiles.TokenizerConfiguration ? 16 : 1) * 1_048_576;

    public override string PathIn(HubCache cache, string commit, IReadOnlyList<string> selected) => cache.SnapshotPath(commit);

    protected override (string? Path, string Missing) FindCommit(HubCache cache, string commit) =>
        cache.Lack(commit, HubModelFiles.Configuration) is { } missing
            ? (null, $"{missing} in '{cache.SnapshotPath(commit)}'")
            : (cache.SnapshotPath(commit), "");
}
