using System.IO.Compression;
using System.Xml.Linq;

namespace Grpo.Package.Tests;

/// <summary>
/// What a user gets: the contents of the packages, and an application that references nothing else than them and a libtorch.
/// </summary>
[Trait("Speed", "Slow")]
public sealed class PackageTests(PackedPackages packages) : IClassFixture<PackedPackages>
{
    private static readonly Dictionary<string, string[]> Dependencies = new()
    {
        ["Grpo.Core"] =
        [
            "Microsoft.Extensions.AI.Abstractions", "Microsoft.Extensions.DependencyInjection.Abstractions",
            "Microsoft.Extensions.Logging.Abstractions", "Microsoft.Extensions.Options", "TorchSharp",
        ],
        ["Grpo.Hub"] = ["Grpo.Core"],
        ["Grpo.Models.Qwen"] = ["Google.Protobuf", "Grpo.Core", "Grpo.Hub", "Microsoft.ML.Tokenizers"],
        ["Grpo.Rewards"] = ["Grpo.Core", "Parquet.Net"],
    };

    [Theory]
    [InlineData("Grpo.Core")]
    [InlineData("Grpo.Hub")]
    [InlineData("Grpo.Models.Qwen")]
    [InlineData("Grpo.Rewards")]
    public void Pack_yields_library_documentation_readme_and_license(string package)
    {
        using ZipArchive archive = Open(package);
        string[] files = [.. archive.Entries.Select(entry => entry.FullName)];
        Assert.All(
            [$"lib/net10.0/{package}.dll", $"lib/net10.0/{package}.xml", "README.md", "LICENSE"], file => Assert.Contains(file, files));
        Assert.DoesNotContain(files, file => file.StartsWith("runtimes/", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Grpo.Core")]
    [InlineData("Grpo.Hub")]
    [InlineData("Grpo.Models.Qwen")]
    [InlineData("Grpo.Rewards")]
    public void Pack_depends_on_libraries_only_and_on_no_native_backend(string package)
    {
        using ZipArchive archive = Open(package);
        using Stream stream = archive.GetEntry($"{package}.nuspec")!.Open();
        string[] ids = [.. XDocument.Load(stream).Descendants().Where(element => element.Name.LocalName == "dependency")
            .Select(element => element.Attribute("id")!.Value)];
        Assert.Equal(Dependencies[package], ids.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Core_brings_the_initializer_that_lets_an_application_touch_torch_first()
    {
        using ZipArchive archive = Open("Grpo.Core");
        Assert.NotNull(archive.GetEntry("buildTransitive/Grpo.Core.targets"));
        Assert.NotNull(archive.GetEntry("buildTransitive/GrpoTorchInitializer.cs"));
    }

    [Fact]
    public void Application_that_references_the_packages_builds_runs_and_publishes()
    {
        using var consumer = new ConsumerProject(packages);
        string run = consumer.Run(), published = consumer.PublishSingleFileAndRun();
        Assert.All(ConsumerProgram.ExpectedOutput, line => Assert.Contains(line, run, StringComparison.Ordinal));
        Assert.All(ConsumerProgram.ExpectedOutput, line => Assert.Contains(line, published, StringComparison.Ordinal));
    }

    private ZipArchive Open(string package) => ZipFile.OpenRead(Path.Combine(packages.Feed, $"{package}.{packages.Version}.nupkg"));
}
