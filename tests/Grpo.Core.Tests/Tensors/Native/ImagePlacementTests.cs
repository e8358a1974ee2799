using System.Runtime.InteropServices;
using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class ImagePlacementTests : IDisposable
{
    private readonly string _cache = Directory.CreateTempSubdirectory("grpo-cache-").FullName;

    public void Dispose() => Directory.Delete(_cache, recursive: true);

    [Fact]
    public void InCache_names_the_folder_by_the_content_and_writes_once()
    {
        string path = ImagePlacement.InCache("shim"u8, "libX.so", _cache);

        // sha256 of "shim"
        Assert.Equal(
            Path.Combine(_cache, "grpo", "native", "04e666aa09809daf691a99cc7bf2d57ba09bac171966a71812ffd049d7c96bb1", "libX.so"), path);
        Assert.Equal("shim", File.ReadAllText(path));
    }

    [Fact]
    public void InCache_replaces_a_damaged_file_and_leaves_no_draft()
    {
        string path = ImagePlacement.InCache("shim"u8, "libX.so", _cache);
        File.WriteAllText(path, "shin");
        Assert.Equal(path, ImagePlacement.InCache("shim"u8, "libX.so", _cache));
        Assert.Equal("shim", File.ReadAllText(path));
        Assert.Equal([path], Directory.GetFiles(_cache, "*", SearchOption.AllDirectories));
    }

    [LinuxFact]
    public void InMemory_gives_a_path_with_the_content() =>
        Assert.Equal("shim", File.ReadAllText(ImagePlacement.InMemory("shim"u8, "libX.so")));

    [LinuxFact]
    public void InCache_gives_a_path_that_the_repaired_shim_loads_from()
    {
        TorchBackend.EnsureAvailable(); // libtorch is in the process
        byte[] image = File.ReadAllBytes(NativeFiles.FindInApplication(NativeFiles.Shim)!);
        HashSet<string> provided =
            [.. new ElfImage(image).NeededVersions().Select(need => need.Version).Where(version => version != "GLIBCXX_3.4.32")];
        Assert.Equal(["GLIBCXX_3.4.32"], ElfVersionRepair.Weaken(image, "libstdc++.so.6", provided));

        nint handle = NativeLibrary.Load(ImagePlacement.InCache(image, "libLibTorchSharp.so", _cache));
        Assert.True(NativeLibrary.TryGetExport(handle, "THSTensor_ones", out _));
        NativeLibrary.Free(handle);
    }
}
