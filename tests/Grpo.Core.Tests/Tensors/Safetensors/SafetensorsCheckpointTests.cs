using Grpo.Core.Tests.Checkpoints;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

public sealed class SafetensorsCheckpointTests : IDisposable
{
    private readonly ScratchFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_reads_a_single_file_and_prefers_it_to_an_index()
    {
        using var scope = TensorScope.Begin();
        Write("model.safetensors", ("w", tensor([1f, 2f])));
        WriteIndex("""{"weight_map":{"w":"gone.safetensors"}}""");
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(_folder.Root);
        Assert.Equal(["w"], checkpoint.Entries.Keys);
        Assert.Equal("pt", checkpoint.Metadata["format"]);
        Assert.Equal([1, 2], checkpoint.Read("w").data<float>().ToArray());
        Tensor target = zeros([2], ScalarType.Float64);
        checkpoint.ReadInto("w", target);
        Assert.Equal([1, 2], target.data<double>().ToArray());
        Assert.Contains(
            "has no tensor 'v'", Assert.Throws<KeyNotFoundException>(() => checkpoint.Read("v")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_reads_each_tensor_from_the_file_that_the_index_names()
    {
        using var scope = TensorScope.Begin();
        Write("1.safetensors", ("a", tensor([1f])), ("b", tensor([-1f])), ("unlisted", tensor([9f])));
        Write("2.safetensors", ("b", tensor([2f])));
        WriteIndex("""{"metadata":{"total_size":8,"x":[1]},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}""");
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(_folder.Root);
        Assert.Equal(["a", "b"], checkpoint.Entries.Keys);
        Assert.Equal(1f, checkpoint.Read("a").item<float>());
        Assert.Equal(2f, checkpoint.Read("b").item<float>());
        Assert.Throws<KeyNotFoundException>(() => checkpoint.Read("unlisted"));
    }

    [Fact]
    public void Open_says_what_it_looked_for()
    {
        string missing = _folder["missing"];
        Assert.Equal(
            $"No weights in '{missing}': the folder does not exist.",
            Assert.Throws<FileNotFoundException>(() => SafetensorsCheckpoint.Open(missing)).Message);
        Assert.StartsWith(
            $"No weights in '{_folder.Root}': expected model.safetensors or model.safetensors.index.json.",
            Assert.Throws<FileNotFoundException>(() => SafetensorsCheckpoint.Open(_folder.Root)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("../1.safetensors")]
    [InlineData("..")]
    [InlineData(".")]
    [InlineData("")]
    [InlineData("sub/1.safetensors")]
    [InlineData("sub\\\\1.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("C:1.safetensors")]
    [InlineData("a\\u0000b")]
    public void Open_refuses_a_file_name_that_could_leave_the_folder(string name)
    {
        WriteIndex("{\"weight_map\":{\"w\":\"" + name + "\"}}");
        AssertRefused("which is not a plain file name");
    }

    [Theory]
    [InlineData("{}", "it has no weight_map")]
    [InlineData("[]", "it is not an object")]
    [InlineData("", "it is not the expected JSON")]
    [InlineData("""{"weight_map":{"w":"a"}""", "it is not the expected JSON")]
    [InlineData("""{"weight_map":[]}""", "weight_map is not an object, or appears twice")]
    [InlineData("""{"weight_map":{},"weight_map":{}}""", "weight_map is not an object, or appears twice")]
    [InlineData("""{"weight_map":{"w":1}}""", "tensor 'w' has no file name")]
    [InlineData("""{"weight_map":{"w":"a","w":"b"}}""", "tensor 'w' appears twice")]
    [InlineData("""{"weight_map":{"\ud800":"a"}}""", "it is not the expected JSON")]
    [InlineData("""{"metadata":[[[[[[[[[[1]]]]]]]]]]}""", "maximum configured depth of 8")]
    public void Open_refuses_an_index_of_the_wrong_form(string index, string expected)
    {
        WriteIndex(index);
        AssertRefused(expected);
    }

    [Fact]
    public void Open_lists_missing_files_missing_tensors_and_damaged_files_at_once_and_closes_the_rest()
    {
        using var scope = TensorScope.Begin();
        Write("1.safetensors", ("a", ones(1)));
        File.WriteAllBytes(_folder["2.safetensors"], [1, 2, 3]);
        WriteIndex(
            """{"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors","d":"3.safetensors","e":"3.safetensors"}}""");
        string message = AssertRefused("3 problems.").Message;
        Assert.Contains("tensor 'b' is not in '1.safetensors', where the index says it is", message, StringComparison.Ordinal);
        Assert.Contains("2.safetensors' is not a valid safetensors file: it has 3 bytes", message, StringComparison.Ordinal);
        Assert.Contains("the file '3.safetensors' is missing", message, StringComparison.Ordinal);
        using FileStream alone = new(_folder["1.safetensors"], FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        Assert.True(alone.CanWrite);
    }

    private InvalidDataException AssertRefused(string expected)
    {
        var error = Assert.Throws<InvalidDataException>(() => SafetensorsCheckpoint.Open(_folder.Root));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Contains("model.safetensors.index.json", error.Message, StringComparison.Ordinal);
        return error;
    }

    private void WriteIndex(string json) => File.WriteAllText(_folder["model.safetensors.index.json"], json);

    private void Write(string file, params (string Name, Tensor Tensor)[] tensors) =>
        SafetensorsWriter.Write(_folder[file], tensors.Select(pair => new KeyValuePair<string, Tensor>(pair.Name, pair.Tensor)));
}
