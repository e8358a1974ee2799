using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class ExistingLibtorchTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("grpo-libtorch-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Open_names_a_folder_that_is_not_there()
    {
        var error = Assert.Throws<BackendUnavailableException>(() => ExistingLibtorch.Open("/no/such/folder"));
        Assert.StartsWith(
            "GRPO_LIBTORCH is '/no/such/folder', which is not a folder. Set it to the folder that holds ", error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Open_lists_the_missing_libraries()
    {
        Touch(_root, "c10");
        var error = Assert.Throws<BackendUnavailableException>(() => ExistingLibtorch.Open(_root));
        string missing = $"{NativeFiles.FileName("torch_cpu")}, {NativeFiles.FileName("torch")} are missing.";
        Assert.StartsWith($"GRPO_LIBTORCH is '{_root}', where {missing}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_points_to_the_lib_folder_below()
    {
        Touch(Path.Combine(_root, "lib"), "torch_cpu");
        var error = Assert.Throws<BackendUnavailableException>(() => ExistingLibtorch.Open(_root));
        Assert.EndsWith($"They are in '{Path.Combine(_root, "lib")}': set GRPO_LIBTORCH to that.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("version.py", "__version__ = '2.9.1+cu128'\ncuda = '12.8'\n", "2.9.1+cu128")]
    [InlineData("build-version", "2.11.0+cpu\n", "2.11.0+cpu")]
    public void Open_refuses_another_release(string file, string text, string version)
    {
        string lib = Complete();
        File.WriteAllText(Path.Combine(_root, file), text);
        var error = Assert.Throws<BackendUnavailableException>(() => ExistingLibtorch.Open(lib));
        Assert.StartsWith(
            $"GRPO_LIBTORCH is '{lib}', which holds libtorch {version}, but this TorchSharp needs 2.10.", error.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("__version__ = '2.10.1+cu130'\n", "2.10.1+cu130")]
    [InlineData("no version here", null)]
    public void Open_reads_the_release(string text, string? version)
    {
        string lib = Complete();
        File.WriteAllText(Path.Combine(_root, "version.py"), text);
        Assert.Equal(version, ExistingLibtorch.Open(lib + Path.DirectorySeparatorChar).Version);
    }

    [Fact]
    public void Load_reports_a_library_that_the_system_refuses()
    {
        string lib = Complete(); // empty files
        var error = Assert.Throws<BackendUnavailableException>(() => ExistingLibtorch.Open(lib).Load("torch_cpu"));
        Assert.StartsWith(
            $"GRPO_LIBTORCH is '{lib}', but '{Path.Combine(lib, NativeFiles.FileName("c10"))}' does not load: ", error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Load_gives_nothing_for_a_library_that_the_folder_lacks() =>
        Assert.Equal(0, ExistingLibtorch.Open(Complete()).Load("torch_cuda"));

    private string Complete()
    {
        string lib = Path.Combine(_root, "lib");
        foreach (string library in (ReadOnlySpan<string>)["c10", "torch_cpu", "torch"])
        {
            Touch(lib, library);
        }

        return lib;
    }

    private static void Touch(string folder, string library)
    {
        Directory.CreateDirectory(folder);
        File.WriteAllBytes(Path.Combine(folder, NativeFiles.FileName(library)), []);
    }
}
