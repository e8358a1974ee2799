using System.Text.Json;
using Grpo.Core.Tests.Checkpoints;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

/// <summary>Files written by Python's safetensors.</summary>
public sealed class SafetensorsReferenceTests
{
    // The format by hand, from the files themselves: how many tensors they name, of what type, and the first number of one.
    [SharedTheory]
    [InlineData("model-A")]
    [InlineData("model-B")]
    [InlineData("model-C")]
    public void Open_reads_the_reference_models(string model)
    {
        using var scope = TensorScope.Begin();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(SharedData.Path("golden", model));
        int tensors = 0, norms = 0;
        foreach (string path in GoldenItems.AtLeastOne(
            Directory.EnumerateFiles(SharedData.Path("golden", model), "*.safetensors"), "weights"))
        {
            byte[] file = File.ReadAllBytes(path);
            int length = (int)BitConverter.ToInt64(file);
            using JsonDocument header = JsonDocument.Parse(file.AsMemory(8, length));
            foreach (JsonProperty tensor in header.RootElement.EnumerateObject())
            {
                if (tensor.Name == "__metadata__")
                {
                    Assert.Equal(tensor.Value.GetProperty("format").GetString(), checkpoint.Metadata["format"]);
                    continue;
                }

                tensors++;
                bool isWide = tensor.Value.GetProperty("dtype").GetString() == "F32";
                Assert.Equal(isWide ? ScalarType.Float32 : ScalarType.BFloat16, checkpoint.Entries[tensor.Name].DType);
                Assert.Equal(tensor.Value.Items("shape").Select(size => size.GetInt64()), checkpoint.Entries[tensor.Name].Shape);
                if (tensor.Name == "model.norm.weight")
                {
                    norms++;
                    int first = 8 + length + tensor.Value.GetProperty("data_offsets")[0].GetInt32();
                    float expected = isWide ? BitConverter.ToSingle(file, first)
                        // bfloat16 is the upper half of a float32
                        : BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(file, first) << 16);
                    Assert.Equal(expected, checkpoint.Read(tensor.Name).to(ScalarType.Float32)[0].item<float>());
                }
            }
        }

        Assert.Equal(tensors, checkpoint.Entries.Count);
        Assert.Equal(1, norms);
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
        SafetensorsWriter.Write(
            folder["model.safetensors"], original.Entries.Keys.Select(name => KeyValuePair.Create(name, original.Read(name))),
            original.Metadata);
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
        using var scope = TensorScope.Begin();
        using var folder = new ScratchFolder();
        IEnumerable<string> files = Directory.EnumerateDirectories(SharedData.Path("golden"), "model-?")
            .SelectMany(model => Directory.EnumerateFiles(model, "*.safetensors")).Where(IsInTheWritersOrder);
        foreach (string path in GoldenItems.AtLeastOne(files, "file in the order that both writers choose"))
        {
            using SafetensorsReader original = SafetensorsReader.Open(path);
            SafetensorsWriter.Write(
                folder["copy"], original.Entries.Keys.Select(name => KeyValuePair.Create(name, original.Read(name))), original.Metadata);
            Assert.Equal(File.ReadAllBytes(path), File.ReadAllBytes(folder["copy"]));
        }
    }

    // One dtype, and names in the header and in the data sorted alike, as Python's library sorts them.
    private static bool IsInTheWritersOrder(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        using JsonDocument header = JsonDocument.Parse(file.AsMemory(8, (int)BitConverter.ToInt64(file)));
        JsonProperty[] tensors = [.. header.RootElement.EnumerateObject().Where(tensor => tensor.Name != "__metadata__")];
        return tensors.Select(tensor => tensor.Value.GetProperty("dtype").GetString()).Distinct().Count() == 1
            && tensors.Select(tensor => tensor.Name).Order(StringComparer.Ordinal).SequenceEqual(tensors.Select(tensor => tensor.Name))
            && tensors.OrderBy(tensor => tensor.Value.GetProperty("data_offsets")[0].GetInt64()).Select(tensor => tensor.Name)
                .SequenceEqual(tensors.Select(tensor => tensor.Name));
    }

    [SharedFact]
    public void Read_gives_the_integers_of_a_reference_file()
    {
        using var scope = TensorScope.Begin();
        using SafetensorsReader reader = SafetensorsReader.Open(SharedData.Path("golden", "forward-A.safetensors"));
        Tensor mask = reader.Read("left.attention_mask");                // [B, L]
        Tensor positions = reader.Read("left.position_ids");
        Tensor expected = (mask.cumsum(1) - 1).masked_fill(mask.eq(0), 1);
        Assert.True(positions.eq(expected).all().item<bool>());
        Assert.Equal([1], reader.Entries["left.loss"].Shape);
    }
}
