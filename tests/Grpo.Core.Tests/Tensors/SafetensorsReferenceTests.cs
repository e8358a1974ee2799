using Grpo.Core.Tests.Checkpoints;
using Grpo.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

/// <summary>Files written by Python's safetensors.</summary>
public sealed class SafetensorsReferenceTests
{
    [SharedTheory]
    [InlineData("model-A", 26, ScalarType.Float32, 1.2289330959320068)]
    [InlineData("model-B", 39, ScalarType.Float32, 1.2098480463027954)]
    [InlineData("model-C", 26, ScalarType.BFloat16, 0.859375)]           // bytes 5c 3f: 0x3F5C = 1.71875 / 2
    public void Open_reads_the_reference_models(string model, int tensors, ScalarType dtype, double firstOfFinalNorm)
    {
        using var scope = TensorScope.Begin();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(SharedData.Path("golden", model));
        Assert.Equal(tensors, checkpoint.Entries.Count);
        Assert.All(checkpoint.Entries.Values, entry => Assert.Equal(dtype, entry.DType));
        Assert.Equal("pt", checkpoint.Metadata["format"]);
        Tensor norm = checkpoint.Read("model.norm.weight");
        Assert.Equal(firstOfFinalNorm, norm.to(ScalarType.Float64)[0].item<double>());
        foreach (SafetensorsEntry entry in checkpoint.Entries.Values)
        {
            using Tensor tensor = checkpoint.Read(entry.Name);
            Assert.True(tensor.isfinite().all().item<bool>(), entry.Name);
        }
    }

    [SharedTheory]
    [InlineData("model-A")]
    [InlineData("model-B")]
    [InlineData("model-C")]
    public void Write_keeps_every_bit_of_a_checkpoint(string model)
    {
        using var scope = TensorScope.Begin();
        using var folder = new ScratchFolder();
        using SafetensorsCheckpoint original = SafetensorsCheckpoint.Open(SharedData.Path("golden", model));
        SafetensorsWriter.Write(folder["model.safetensors"], original.Entries.Keys.Select(name => KeyValuePair.Create(name, original.Read(name))), original.Metadata);
        using SafetensorsCheckpoint saved = SafetensorsCheckpoint.Open(folder.Root);
        Assert.Equal(original.Entries.Keys.Order(StringComparer.Ordinal), saved.Entries.Keys.Order(StringComparer.Ordinal));
        foreach ((string name, SafetensorsEntry entry) in original.Entries)
        {
            Assert.Equal(entry.Shape, saved.Entries[name].Shape);
            Assert.Equal(entry.DType, saved.Entries[name].DType);
            Assert.True(original.Read(name).bytes.SequenceEqual(saved.Read(name).bytes), name);
        }
    }

    [SharedFact]
    public void Write_reproduces_a_python_file_byte_for_byte()
    {
        // One dtype and sorted names: the case in which both writers choose the same order.
        using var scope = TensorScope.Begin();
        using var folder = new ScratchFolder();
        string path = SharedData.Path("golden", "model-A", "model.safetensors");
        using SafetensorsReader original = SafetensorsReader.Open(path);
        SafetensorsWriter.Write(folder["copy"], original.Entries.Keys.Select(name => KeyValuePair.Create(name, original.Read(name))));
        Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(folder["copy"]));
    }

    [SharedFact]
    public void Read_gives_the_integers_of_a_reference_file()
    {
        using var scope = TensorScope.Begin();
        using SafetensorsReader reader = SafetensorsReader.Open(SharedData.Path("golden", "forward-A.safetensors"));
        Tensor mask = reader.Read("left.attention_mask");                // [4, 12]
        Tensor positions = reader.Read("left.position_ids");
        Tensor expected = (mask.cumsum(1) - 1).masked_fill(mask.eq(0), 1);
        Assert.True(positions.eq(expected).all().item<bool>());
        Assert.Equal([1], reader.Entries["left.loss"].Shape);
    }
}
