using Grpo.Core.Tests.Tensors;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Fuzz.Tests;

/// <summary>The readers of weights, their index and the native libraries.</summary>
internal static class TensorTargets
{
    public static IEnumerable<FuzzTarget> All()
    {
        yield return new(
            "safetensors", 6, [Weights(), Empty()],
            Folder.Reading("safetensors", folder => ReadAll(Path.Combine(folder, "model.safetensors"))), typeof(InvalidDataException));
        yield return new("safetensors index", 4, [Shards()], Folder.Reading("index", ReadCheckpoint), typeof(InvalidDataException));
        yield return new("native library", 4, [new([new FuzzPart("shim", PartFormat.Bytes, SyntheticElf.Build())])],
            ReadLibrary, typeof(InvalidDataException), typeof(NotSupportedException));
        yield return new(
            "release of libtorch", 1, [Release()], Folder.Reading("libtorch", folder => ExistingLibtorch.Open(Path.Combine(folder))),
            typeof(BackendUnavailableException));
    }

    private static FuzzInput Weights() => Folder.Written(folder =>
    {
        using var scope = TensorScope.BeginNoGrad();
        SafetensorsWriter.Write(
            Path.Combine(folder, "model.safetensors"),
            [new("a", ones([2, 3])), new("b", zeros([5], ScalarType.Bool)), new("c", ones([4, 2], ScalarType.BFloat16)),
                new("d", tensor(7L)), new("e", zeros([0, 3]))],
            new Dictionary<string, string> { ["format"] = "pt" });
    });

    private static FuzzInput Empty() => Folder.Written(folder => SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), []));

    private static FuzzInput Shards() => Folder.Written(folder =>
    {
        using var scope = TensorScope.BeginNoGrad();
        SafetensorsWriter.Write(Path.Combine(folder, "1.safetensors"), [new("a", ones([2, 3]))]);
        SafetensorsWriter.Write(Path.Combine(folder, "2.safetensors"), [new("b", ones([3])), new("c", ones([1]))]);
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"),
            """{"metadata":{"total_size":40},"weight_map":{"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}}""");
    });

    private static FuzzInput Release() => new(
    [
        FuzzPart.Json("build-version", "2.10.0+cpu\n"),
        .. new[] { "c10", "torch_cpu", "torch" }.Select(name => new FuzzPart(NativeFiles.FileName(name), PartFormat.Bytes, [])),
    ]);

    private static void ReadAll(string path)
    {
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsReader file = SafetensorsReader.Open(path);
        Read(file.Entries, file.Read, new FileInfo(path).Length);
    }

    private static void ReadCheckpoint(string folder)
    {
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(folder);
        Read(checkpoint.Entries, checkpoint.Read, new DirectoryInfo(folder).GetFiles().Sum(file => file.Length));
    }

    private static void Read(IReadOnlyDictionary<string, SafetensorsEntry> entries, Func<string, Tensor> read, long size)
    {
        // No header can cause a large tensor: all tensors together are no larger than the files.
        Assert.InRange(entries.Values.Sum(entry => entry.Length), 0, size);
        foreach (SafetensorsEntry entry in entries.Values)
        {
            using Tensor tensor = read(entry.Name);
            Assert.Equal(entry.Shape, tensor.shape);
            Assert.Equal(entry.Length, tensor.numel() * tensor.element_size());
        }
    }

    private static void ReadLibrary(FuzzInput input)
    {
        string path = Path.Combine(Folder.Of("elf"), "shim");
        File.WriteAllBytes(path, input.Bytes);
        _ = NativeLoad.FindTruncation(path); // never throws
        byte[] image = [.. input.Bytes];
        new ElfImage(image).DefinedVersions();
        ElfVersionRepair.Weaken(image, "libstdc++.so.6", new HashSet<string> { "GLIBCXX_3.4" });
        Assert.Equal(input.Bytes.Length, image.Length);
    }
}
