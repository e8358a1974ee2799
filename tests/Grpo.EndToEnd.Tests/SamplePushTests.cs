using System.Diagnostics;
using System.Text;
using Grpo.Hub.Tests;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>The command push from the outside, with a hub on this machine.</summary>
[Trait("Speed", "Slow")]
public sealed class SamplePushTests : IDisposable
{
    private readonly UploadHub _server = new() { PartBytes = 1_000_000 };
    private readonly TemporaryFolder _folder = new();

    public SamplePushTests()
    {
        foreach (string file in Directory.EnumerateFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, _folder[Path.GetFileName(file)]);
        }

        File.Delete(_folder["README.md"]);
        File.WriteAllText(_folder["optimizer.safetensors"], "state");
    }

    public void Dispose()
    {
        _server.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task Push_sends_the_folder_with_a_card()
    {
        SampleProcess.Result result = (await RunAsync(
            "--repo", UploadHub.Id, "--private", "--base-model", "owner/base", "--license", "mit")).Succeeded();

        Assert.Contains("README.md  (a new card)", result.Output, StringComparison.Ordinal);
        Assert.Contains("Left out: optimizer.safetensors", result.Output, StringComparison.Ordinal);
        Assert.Contains($"files: {_server.Hub.Address}owner/tiny/commit/{_server.Ids[1]}", result.Output, StringComparison.Ordinal);
        File.Delete(_folder["optimizer.safetensors"]);
        _server.AssertNewestIs(_folder);
        string card = Encoding.UTF8.GetString(_server.Newest["README.md"]);
        Assert.Contains("base_model: \"owner/base\"", card, StringComparison.Ordinal);
        Assert.Contains("license: \"mit\"", card, StringComparison.Ordinal);
        Assert.DoesNotContain(_folder.Path, card, StringComparison.Ordinal);
        Assert.True(_server.IsPrivate);

        Assert.DoesNotContain("Note:", result.Output, StringComparison.Ordinal);

        result = (await RunAsync("--repo", UploadHub.Id, "--license", "apache-2.0")).Succeeded();
        Assert.Contains("The hub has all of it already", result.Output, StringComparison.Ordinal);
        Assert.Contains("which is sent as it is, without what --license would write.", result.Output, StringComparison.Ordinal);
        Assert.Equal(2, _server.Commits.Count);
    }

    [Fact]
    public async Task Push_changes_nothing_with_dry_run()
    {
        SampleProcess.Result result = (await RunAsync("--repo", UploadHub.Id, "--dry-run")).Succeeded();

        Assert.Contains("model.safetensors", result.Output, StringComparison.Ordinal);
        Assert.Contains("Nothing was sent or written", result.Output, StringComparison.Ordinal);
        Assert.Empty(_server.Hub.Requests);
        Assert.False(File.Exists(_folder["README.md"]));
    }

    [Fact]
    public async Task Push_names_the_mistake()
    {
        (await RunAsync("--repo", "tiny")).Failed("--repo is 'tiny' but must be the name on the hub: user/name.");
        (await RunAsync("--repo", UploadHub.Id, "--base-model", "/models/base")).Failed("ModelCard.BaseModel is '/models/base'");
        (await RunAsync("--repo", UploadHub.Id, "--records", _folder["none"])).Failed("There is no folder");
        (await RunAsync("--repo", UploadHub.Id, "--evaluation", _folder["none.json"])).Failed("There is no evaluation");
        Assert.Empty(_server.Hub.Requests);
        _server.Refuse = _ => UploadHub.Said(401, "Invalid token");
        (await RunAsync("--repo", UploadHub.Id)).Failed("(401)", "set HF_TOKEN to one that may write");
    }

    private Task<SampleProcess.Result> RunAsync(params string[] arguments)
    {
        ProcessStartInfo start = SampleProcess.StartOf("Gsm8k", ["push", "--model", _folder.Path, .. arguments]);
        start.Environment["HF_ENDPOINT"] = _server.Hub.Address.AbsoluteUri;
        start.Environment["HF_TOKEN"] = UploadHub.Token;
        return SampleProcess.RunAsync(start);
    }
}
