using Grpo.Testing;

namespace Grpo.Hub.Tests;

public sealed class HubSettingsTests
{
    private static readonly string Home = Path.GetFullPath(Path.Combine(Path.GetTempPath(), "home-of-nobody"));

    [Fact]
    public void Resolve_finds_the_cache_where_Python_has_it()
    {
        string Cache(params (string Name, string Value)[] variables) => Resolve(new HubOptions(), variables).CacheDirectory;

        Assert.Equal(Path.Combine(Home, ".cache", "huggingface", "hub"), Cache());
        Assert.Equal(Path.GetFullPath("/xdg/huggingface/hub"), Cache(("XDG_CACHE_HOME", "/xdg")));
        Assert.Equal(Path.GetFullPath("/hf/hub"), Cache(("XDG_CACHE_HOME", "/xdg"), ("HF_HOME", "/hf")));
        Assert.Equal(Path.GetFullPath("/own"), Cache(("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/own")));
        Assert.Equal(Path.Combine(Home, "models"), Cache(("HF_HUB_CACHE", "~/models")));
        Assert.Equal(
            Path.GetFullPath("/set"), Resolve(new HubOptions { CacheDirectory = "/set" }, ("HF_HUB_CACHE", "/own")).CacheDirectory);
    }

    [Fact]
    public void Resolve_takes_token_endpoint_and_offline_from_the_environment_unless_they_are_set()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["token"], "hf_file\n");

        Assert.Null(Resolve(new HubOptions()).Token);
        Assert.Equal("hf_file", Resolve(new HubOptions(), ("HF_HOME", folder.Path)).Token);
        Assert.Equal("hf_environment", Resolve(new HubOptions(), ("HF_HOME", folder.Path), ("HF_TOKEN", " hf_environment ")).Token);
        Assert.Null(Resolve(new HubOptions { Token = "" }, ("HF_TOKEN", "hf_environment")).Token);
        Assert.Equal("https://huggingface.co/", Resolve(new HubOptions()).Endpoint.AbsoluteUri);
        Assert.Equal(
            "https://mirror.example/hf", Resolve(new HubOptions(), ("HF_ENDPOINT", "https://mirror.example/hf")).Endpoint.AbsoluteUri);
        Assert.False(Resolve(new HubOptions()).Offline);
        Assert.True(Resolve(new HubOptions(), ("HF_HUB_OFFLINE", "1")).Offline);
        Assert.False(Resolve(new HubOptions { Offline = false }, ("HF_HUB_OFFLINE", "1")).Offline);
    }

    [Theory]
    [InlineData("http://mirror.example", "'http://mirror.example'; it must be https, or http on this machine")]
    [InlineData("ftp://mirror.example", "it must be https, or http on this machine")]
    [InlineData("https://user:secret@mirror.example", "mirror.example holds a user name, password or query")]
    [InlineData("mirror", "HF_ENDPOINT is 'mirror', which is no address")]
    public void Resolve_refuses_an_address_that_is_open_or_holds_a_password(string endpoint, string message)
    {
        string actual = Assert.Throws<HubException>(() => Resolve(new HubOptions(), ("HF_ENDPOINT", endpoint))).Message;

        Assert.Contains(message, actual, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", actual, StringComparison.Ordinal);
    }

    [Fact]
    public void Resolve_states_the_range_of_an_option()
    {
        Assert.Contains(
            "MaxAttempts must be 1 to 100.",
            Assert.Throws<ArgumentOutOfRangeException>(() => Resolve(new HubOptions { MaxAttempts = 0 })).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "StallTimeout must be above 0, to one hour.",
            Assert.Throws<ArgumentOutOfRangeException>(() => Resolve(new HubOptions { StallTimeout = TimeSpan.Zero })).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "The revision '../x' is not a branch, tag or commit.",
            Assert.Throws<ArgumentException>(() => Resolve(new HubOptions { Revision = "../x" })).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Qwen/Qwen2.5-0.5B-Instruct", true)]
    [InlineData("a/b", true)]
    [InlineData("Qwen", false)]
    [InlineData("models/tiny/x", false)]
    [InlineData("../x", false)]
    [InlineData("a/..", false)]
    [InlineData("a/b--c", false)]
    [InlineData("a/-b", false)]
    [InlineData("a/b\n", false)]
    [InlineData("/a", false)]
    [InlineData("a\\b", false)]
    public void IsId_accepts_owner_and_name_only(string id, bool expected) => Assert.Equal(expected, HubClient.IsId(id));

    [Fact]
    public async Task DownloadAsync_says_what_an_id_looks_like() => Assert.Contains(
        "'no such folder' is not the id of a hub repository. Give owner/name, such as Qwen/Qwen2.5-0.5B-Instruct, or an existing folder.",
        (await Assert.ThrowsAsync<ArgumentException>(() => HubClient.DownloadAsync("no such folder"))).Message,
        StringComparison.Ordinal);

    private static HubSettings Resolve(HubOptions options, params (string Name, string Value)[] variables) =>
        HubSettings.Resolve(options, name => variables.FirstOrDefault(variable => variable.Name == name).Value, Home);
}
