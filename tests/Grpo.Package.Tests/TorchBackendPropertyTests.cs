using System.Text.Json;
using Grpo.Testing;

namespace Grpo.Package.Tests;

/// <summary>The MSBuild property that gives samples and tests exactly one native libtorch.</summary>
[Trait("Speed", "Slow")]
public sealed class TorchBackendPropertyTests
{
    private const string Project = "tests/Grpo.Core.Tests/Grpo.Core.Tests.csproj";

    [Theory]
    [InlineData("cpu", "libtorch-cpu-")]
    [InlineData("cuda-linux", "TorchSharp-cuda-linux")]
    [InlineData("cuda-windows", "TorchSharp-cuda-windows")]
    [InlineData("none", null)]
    public void TorchBackend_selects_one_package(string backend, string? package)
    {
        string[] packages = NativePackages([], $"-p:TorchBackend={backend}");
        if (package is null)
        {
            Assert.Empty(packages);
        }
        else
        {
            Assert.StartsWith(package, Assert.Single(packages), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void TorchBackend_is_cpu_when_nothing_is_said() =>
        Assert.StartsWith("libtorch-cpu-", Assert.Single(NativePackages([])), StringComparison.Ordinal);

    [Fact]
    public void TorchBackend_is_none_when_the_environment_names_a_libtorch() =>
        Assert.Empty(NativePackages(new() { ["GRPO_LIBTORCH"] = "/opt/libtorch/lib" }));

    [Fact]
    public void TorchBackend_refuses_another_value()
    {
        (int exitCode, string output) = DotNet.Try(
            SharedData.RepositoryRoot, new Dictionary<string, string?>(), "msbuild", Project, "-t:CheckTorchBackend",
            "-p:TorchBackend=cuda");
        Assert.NotEqual(0, exitCode);
        Assert.Contains("TorchBackend is 'cuda' but must be cpu, cuda-windows, cuda-linux or none", output, StringComparison.Ordinal);
    }

    private static string[] NativePackages(Dictionary<string, string?> environment, params string[] arguments)
    {
        environment.TryAdd("TorchBackend", null); // the value of the outer build, if it came from the environment
        string json = DotNet.Run(SharedData.RepositoryRoot, environment, ["msbuild", Project, "-getItem:PackageReference", .. arguments]);
        using JsonDocument items = JsonDocument.Parse(json);
        return
        [
            .. items.RootElement.GetProperty("Items").GetProperty("PackageReference").EnumerateArray()
                .Select(item => item.GetProperty("Identity").GetString()!)
                .Where(
                    id => id.StartsWith("libtorch-", StringComparison.Ordinal) || id.StartsWith("TorchSharp-", StringComparison.Ordinal)),
        ];
    }
}
