using System.Runtime.InteropServices;
using Grpo.Testing;

namespace Grpo.Package.Tests;

/// <summary>A console project outside the repository that knows the packages from a local feed only.</summary>
internal sealed class ConsumerProject : IDisposable
{
    private readonly string _folder;
    private readonly Dictionary<string, string?> _environment;

    public ConsumerProject(PackedPackages packages)
    {
        _folder = Directory.CreateDirectory(Path.Combine(packages.Root, "consumer")).FullName;

        // The new packages go to a folder of their own, which is deleted; all others are used where the machine has them.
        string cache = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } set
            ? set
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        _environment = new() { ["NUGET_PACKAGES"] = Path.Combine(packages.Root, "cache") };
        File.WriteAllText(Path.Combine(_folder, "nuget.config"), $"""
            <configuration>
              <packageSources><add key="packed" value="{packages.Feed}" /></packageSources>
              <fallbackPackageFolders><add key="machine" value="{cache}" /></fallbackPackageFolders>
            </configuration>
            """);
        File.WriteAllText(Path.Combine(_folder, "Consumer.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
                <!-- libtorch is half a gigabyte: linked, not copied -->
                <CreateHardLinksForCopyFilesToOutputDirectoryIfPossible>true</CreateHardLinksForCopyFilesToOutputDirectoryIfPossible>
                <CreateHardLinksForPublishFilesIfPossible>true</CreateHardLinksForPublishFilesIfPossible>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="Grpo.Core" Version="{packages.Version}" />
                <PackageReference Include="Grpo.Models.Qwen" Version="{packages.Version}" />
                <PackageReference Include="Grpo.Rewards" Version="{packages.Version}" />
                <PackageReference Include="{LibtorchPackage}" Version="2.10.0" />
              </ItemGroup>
            </Project>
            """);
        File.WriteAllText(Path.Combine(_folder, "Program.cs"), ConsumerProgram.Source(SharedData.RepositoryRoot, _folder));
    }

    private static string LibtorchPackage =>
        OperatingSystem.IsWindows()
            ? "libtorch-cpu-win-x64"
            : OperatingSystem.IsMacOS() ? "libtorch-cpu-osx-arm64" : "libtorch-cpu-linux-x64";

    /// <summary>dotnet run.</summary>
    public string Run() => DotNet.Run(_folder, _environment, "run", "-c", "Release");

    /// <summary>dotnet publish into one file, started from another folder.</summary>
    public string PublishSingleFileAndRun()
    {
        string output = Path.Combine(_folder, "published");
        DotNet.Run(
            _folder, _environment, "publish", "-c", "Release", "-r", RuntimeInformation.RuntimeIdentifier, "--no-self-contained",
            "-p:PublishSingleFile=true", "-o", output);
        (int exitCode, string text) = DotNet.Start(
            Path.Combine(output, OperatingSystem.IsWindows() ? "Consumer.exe" : "Consumer"), Path.GetTempPath(), _environment);
        Assert.True(exitCode == 0, text);
        return text;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
