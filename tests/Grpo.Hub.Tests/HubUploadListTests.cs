using System.Text.RegularExpressions;
using CsCheck;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>Which files of a folder are uploaded.</summary>
public sealed class HubUploadListTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void List_leaves_out_the_state_of_training_and_what_nobody_should_see()
    {
        Write("model.safetensors", "config.json", "optimizer.safetensors", "trainer_state.json", "run_options.json", "checkpoint.json",
            "completions.jsonl", "checkpoints/checkpoint-000001/model.safetensors", ".git/config", "sub/.git/HEAD", ".env", "x.tmp",
            ".cache/huggingface/token", "model.safetensors.incomplete", ".run.lock", ".gitattributes", "sub/vocab.json",
            "base_model_location.json", "reference.safetensors", ".run.owner", ".tmp-0123/config.json", ".export.0123.tmp/config.json",
            "sub/.env/lib.py", "stored_tokens");

        HubUploadList list = HubUpload.List(_folder.Path);

        Assert.Equal([".gitattributes", "config.json", "model.safetensors", "sub/vocab.json"], list.Files.Select(file => file.Path));
        Assert.Equal(
            [
                ".cache/", ".env", ".export.0123.tmp/", ".git/", ".run.lock", ".run.owner", ".tmp-0123/", "base_model_location.json",
                "checkpoint.json", "checkpoints/", "completions.jsonl", "model.safetensors.incomplete", "optimizer.safetensors",
                "reference.safetensors", "run_options.json", "stored_tokens", "sub/.env/", "sub/.git/", "trainer_state.json", "x.tmp",
            ],
            list.LeftOut);
        Assert.All(list.Files, file => Assert.Equal(file.Path.Length, file.Size)); // a file holds its path
    }

    [Fact]
    public void List_has_the_state_of_training_when_asked()
    {
        Write("model.safetensors", "optimizer.safetensors", "checkpoints/checkpoint-000001/config.json", ".env");

        HubUploadList list = HubUpload.List(_folder.Path, new HubUploadOptions { IncludeTrainingState = true });

        Assert.Equal(
            ["checkpoints/checkpoint-000001/config.json", "model.safetensors", "optimizer.safetensors"],
            list.Files.Select(file => file.Path));
    }

    [Theory]
    [InlineData("*.json", "a.json b/c.json")]
    [InlineData("b/*.json", "b/c.json")]
    [InlineData("b/**", "b/c.json b/d/e.txt")]
    [InlineData("**/d/*", "b/d/e.txt")]
    [InlineData("?.json", "a.json b/c.json")]
    [InlineData("/a.json", "a.json")]
    [InlineData("*", "a.json b/c.json b/d/e.txt")]
    public void List_takes_the_files_of_a_pattern(string pattern, string expected)
    {
        Write("a.json", "b/c.json", "b/d/e.txt");

        HubUploadList list = HubUpload.List(_folder.Path, new HubUploadOptions { Include = [pattern] });

        Assert.Equal(expected.Split(' '), list.Files.Select(file => file.Path));
    }

    [Fact]
    public void List_takes_characters_of_a_pattern_as_they_are()
    {
        Write("a+b.json", "aab.json", "x[1].json");

        Assert.Equal(
            ["a+b.json", "x[1].json"],
            HubUpload.List(_folder.Path, new HubUploadOptions { Include = ["a+b.json", "x[1].json"] }).Files.Select(file => file.Path));
        Assert.Equal(
            ["aab.json"],
            HubUpload.List(_folder.Path, new HubUploadOptions { Exclude = ["a+b.json", "x*"] }).Files.Select(file => file.Path));
    }

    [Fact]
    public void IsMatch_agrees_with_a_regular_expression() =>
        Gen.Select(Gen.String[Gen.Char["ab/*?"], 1, 8], Gen.String[Gen.Char["ab/"], 0, 8])
            .Sample((pattern, path) =>
            {
                string whole = pattern.Contains('/', StringComparison.Ordinal) ? pattern.TrimStart('/') : "**/" + pattern;
                string regex = Regex.Replace(whole, @"\*\*/|\*\*|\*|\?", match => match.Value switch
                {
                    "**/" => @"(?:(?<=\A|/)|.*/)", // nothing, only where a name begins
                    "**" => ".*",
                    "*" => "[^/]*",
                    _ => "[^/]",
                });
                Assert.Equal(Regex.IsMatch(path, $@"\A{regex}\z"), new PathPattern(pattern).IsMatch(path));
            }, iter: 20_000);

    [Fact]
    public void List_refuses_a_folder_without_files_to_upload()
    {
        Write("optimizer.safetensors");

        Assert.Contains(
            "holds no file to upload. 1 were left out by the patterns",
            Assert.Throws<HubException>(() => HubUpload.List(_folder.Path)).Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => HubUpload.List(_folder.Path, new HubUploadOptions { Include = [""] }));
        Assert.Contains(
            "There is no folder",
            Assert.Throws<DirectoryNotFoundException>(() => HubUpload.List(_folder["none"])).Message,
            StringComparison.Ordinal);
    }

    [LinkTheory]
    [InlineData("../secret.txt")]
    [InlineData("/etc/hostname")]
    [InlineData("absent.txt")]
    [InlineData(".git/config")]
    public void List_refuses_a_link_that_leads_outside(string target)
    {
        Write("a.json", ".git/config");
        string outside = Path.Combine(Path.GetDirectoryName(_folder.Path)!, "secret.txt");
        File.WriteAllText(outside, "secret");
        File.CreateSymbolicLink(_folder["weights.bin"], target);

        HubException failure = Assert.Throws<HubException>(() => HubUpload.List(_folder.Path));

        Assert.Contains("'weights.bin' is a link to a file outside of the folder", failure.Message, StringComparison.Ordinal);
        File.Delete(outside);
    }

    // The folder of checkpoints is left out, so nothing else looks at it.
    [LinkTheory]
    [InlineData("checkpoints/secret.txt")]
    public void List_refuses_a_link_through_a_folder_that_is_a_link(string target)
    {
        using var outside = new TemporaryFolder();
        File.WriteAllText(outside["secret.txt"], "secret");
        Write("a.json");
        Directory.CreateSymbolicLink(_folder["checkpoints"], outside.Path);
        File.CreateSymbolicLink(_folder["weights.bin"], target);

        Assert.Contains(
            "'weights.bin' is a link to a file outside of the folder",
            Assert.Throws<HubException>(() => HubUpload.List(_folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [LinkTheory]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("/")]
    public void List_refuses_a_link_to_a_folder(string target)
    {
        Write("a.json");
        Directory.CreateSymbolicLink(_folder["more"], target);

        Assert.Contains(
            "'more/' is a link to a folder, which is not uploaded.",
            Assert.Throws<HubException>(() => HubUpload.List(_folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [LinkTheory]
    [InlineData("blobs/abc")]
    public void List_follows_a_link_inside_the_folder(string target)
    {
        Write("blobs/abc");
        File.CreateSymbolicLink(_folder["model.safetensors"], target);

        Assert.Equal(
            [new HubUploadFile("blobs/abc", 9), new HubUploadFile("model.safetensors", 9)], HubUpload.List(_folder.Path).Files);
    }

    private void Write(params string[] paths)
    {
        foreach (string path in paths)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_folder[path])!);
            File.WriteAllText(_folder[path], path);
        }
    }
}
