using System.Buffers.Binary;
using Grpo.Core.Tests.Checkpoints;
using Grpo.Tensors;
using TorchSharp;
using static Grpo.Core.Tests.Tensors.SafetensorsBytes;

namespace Grpo.Core.Tests.Tensors;

public sealed class SafetensorsHeaderTests : IDisposable
{
    private readonly ScratchFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_lists_entries_and_metadata_in_data_order()
    {
        string header = $$"""{"__metadata__":{"format":"pt","step":"7"},{{Entry("b", "BF16", "[2,1]", "[8,12]")}},"""
            + $$"""{{Entry("a", "F32", "[]", "[4,8]")}},{{Entry("z", "I64", "[0,3]", "[4,4]")}},"""
            + $$"""{{Entry("c", "BOOL", "[4]", "[0,4]")}}}   """;
        using SafetensorsReader reader = Open(Of(header, 12));
        Assert.Equal(["c", "z", "a", "b"], reader.Entries.Keys);
        Assert.Equal(torch.ScalarType.BFloat16, reader.Entries["b"].DType);
        Assert.Equal([2, 1], reader.Entries["b"].Shape);
        Assert.Equal((8, 4), (reader.Entries["b"].Begin, reader.Entries["b"].Length));
        Assert.Empty(reader.Entries["a"].Shape);
        Assert.Equal("7", reader.Metadata["step"]);
        Assert.Equal(_folder["file.safetensors"], reader.Path);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"__metadata__":{}}""")]
    public void Open_accepts_a_file_without_tensors(string header)
    {
        using SafetensorsReader reader = Open(Of(header, 0));
        Assert.Empty(reader.Entries);
        Assert.Empty(reader.Metadata);
    }

    [Theory]
    [InlineData(
        "F8_E4M3",
        "tensor 'w' has dtype 'F8_E4M3', which is not supported; supported are F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL")]
    [InlineData("f32", "has dtype 'f32', which is not supported")]
    [InlineData("", "has dtype '', which is not supported")]
    public void Open_refuses_a_dtype_by_name(string dtype, string expected) =>
        AssertRefused(expected, Of($"{{{Entry("w", dtype, "[4]", "[0,4]")}}}", 4));

    [Theory]
    [InlineData("[2]", "[0,4]", 4, "tensor 'w' has dtype F32 and shape [2], which is 8 bytes, but its data_offsets hold 4")]
    [InlineData("[1]", "[0,8]", 4, "shape [1], which is 4 bytes, but its data_offsets hold 8")]
    [InlineData("[-1]", "[0,4]", 4, "tensor 'w' has a shape that is not a list of integers from 0 to 2^63-1")]
    [InlineData("[1.0]", "[0,4]", 4, "has a shape that is not a list of integers")]
    [InlineData("[1e0]", "[0,4]", 4, "has a shape that is not a list of integers")]
    [InlineData("""["1"]""", "[0,4]", 4, "has a shape that is not a list of integers")]
    [InlineData("[9223372036854775808]", "[0,4]", 4, "has a shape that is not a list of integers")]
    [InlineData("[4294967296,4294967296]", "[0,0]", 0, "has shape [4294967296, 4294967296], more than 2^63 bytes")]
    [InlineData("[4294967296,4294967296,0]", "[0,0]", 0, "has shape [4294967296, 4294967296, 0], more than 2^63 bytes")]
    [InlineData("[2305843009213693952]", "[0,0]", 0, "more than 2^63 bytes")]
    [InlineData("1", "[0,4]", 4, "tensor 'w' has a shape of the wrong kind")]
    [InlineData("null", "[0,4]", 4, "has a shape of the wrong kind")]
    [InlineData("[1]", "[4,0]", 4, "tensor 'w' begins at byte 4 of the data but ends before, at 0")]
    [InlineData("[1]", "[-4,0]", 4, "has a data_offsets that is not a list of integers")]
    [InlineData("[1]", "[0,18446744073709551616]", 4, "has a data_offsets that is not a list of integers")]
    [InlineData("[1]", "[0]", 4, "tensor 'w' has 1 data_offsets; they must be two")]
    [InlineData("[1]", "[0,2,4]", 4, "has a data_offsets of more than 2 numbers")]
    [InlineData("[1]", "[[0],4]", 4, "has a data_offsets that is not a list of integers")]
    [InlineData(
        "[1]", "[9223372036854775803,9223372036854775807]", 4,
        "tensor 'w' ends at byte 9223372036854775807 of the data, but the file holds 4")]
    [InlineData("[1]", "[4,8]", 4, "tensor 'w' ends at byte 8 of the data, but the file holds 4: it is truncated or mislabeled")]
    [InlineData("[1]", "[4,8]", 8, "4 bytes before tensor 'w' belong to no tensor")]
    [InlineData("[1]", "[0,4]", 7, "3 bytes at the end belong to no tensor")]
    public void Open_refuses_shapes_and_offsets_that_do_not_fit(string shape, string offsets, int dataBytes, string expected) =>
        AssertRefused(expected, Of($"{{{Entry("w", "F32", shape, offsets)}}}", dataBytes));

    [Fact]
    public void Open_refuses_more_axes_than_torch_takes() => AssertRefused(
        "has a shape of more than 64 numbers",
        Of($"{{{Entry("w", "F32", $"[{string.Join(',', Enumerable.Repeat(1, 65))}]", "[0,4]")}}}", 4));

    [Theory]
    [InlineData("[0,4]", "[0,4]", 8, "tensor 'b' begins at byte 0 of the data, inside tensor 'a'")]
    [InlineData("[0,4]", "[2,6]", 8, "tensor 'b' begins at byte 2 of the data, inside tensor 'a'")]
    [InlineData("[0,4]", "[6,10]", 10, "2 bytes before tensor 'b' belong to no tensor")]
    public void Open_refuses_overlaps_and_holes_between_tensors(string first, string second, int dataBytes, string expected) =>
        AssertRefused(expected, Of($"{{{Entry("a", "F32", "[1]", first)},{Entry("b", "I32", "[1]", second)}}}", dataBytes));

    [Theory]
    [InlineData("""{"w":1}""", "tensor 'w' is not an object with dtype, shape and data_offsets")]
    [InlineData("""{"w":{}}""", "tensor 'w' has no dtype")]
    [InlineData("""{"w":{"dtype":"F32"}}""", "tensor 'w' has no shape")]
    [InlineData("""{"w":{"dtype":"F32","shape":[]}}""", "tensor 'w' has no data_offsets")]
    [InlineData("""{"w":{"dtype":1,"shape":[],"data_offsets":[0,4]}}""", "tensor 'w' has a dtype of the wrong kind, or twice")]
    [InlineData(
        """{"w":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}}""", "tensor 'w' has a dtype of the wrong kind, or twice")]
    [InlineData("""{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":[1]}}""", "tensor 'w' has the unknown field 'x'")]
    [InlineData(
        """{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""",
        "the name 'w' appears twice")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", "the name '__metadata__' appears twice")]
    [InlineData("""{"__metadata__":[]}""", "__metadata__ is not an object of strings")]
    [InlineData("""{"__metadata__":null}""", "__metadata__ is not an object of strings")]
    [InlineData("""{"__metadata__":{"step":7}}""", "__metadata__ 'step' is not a string")]
    [InlineData("""{"__metadata__":{"a":"1","a":"1"}}""", "__metadata__ 'a' appears twice")]
    [InlineData("""{"w":[[[[[[[[[[1]]]]]]]]]]}""", "maximum configured depth of 8 has been exceeded")]
    [InlineData("""{"a":1""", "its header is not the expected JSON")]
    [InlineData("""{} x""", "its header is not the expected JSON")]
    [InlineData("""{}{}""", "its header is not the expected JSON")]
    [InlineData("""{/* */}""", "its header is not the expected JSON")]
    [InlineData("""{"\ud800":1}""", "a string in the header is not valid Unicode")]
    [InlineData("[]", "its header does not begin with '{'")]
    [InlineData(" {}", "its header does not begin with '{'")]
    [InlineData("", "its header does not begin with '{'")]
    public void Open_refuses_a_header_of_the_wrong_form(string header, string expected) => AssertRefused(expected, Of(header, 4));

    [Fact]
    public void Open_refuses_a_header_that_is_not_utf8() =>
        AssertRefused("its header is not UTF-8", Of([(byte)'{', (byte)'"', 0xC3, 0x28, (byte)'"', (byte)':', (byte)'1', (byte)'}'], 0));

    [Theory]
    [InlineData(0, "it has 0 bytes; the length of the header alone takes 8")]
    [InlineData(7, "it has 7 bytes")]
    public void Open_refuses_a_file_without_a_header(int bytes, string expected) => AssertRefused(expected, new byte[bytes]);

    [Theory]
    [InlineData(3UL, "its header would be 3 bytes, but only 2 follow. The file is truncated or of another format.")]
    [InlineData(100_000_001UL, "its header would be 100000001 bytes; the limit is 100000000.")]
    [InlineData(ulong.MaxValue, "its header would be 18446744073709551615 bytes; the limit is 100000000.")]
    public void Open_believes_no_header_length_that_the_file_does_not_have(ulong length, string expected)
    {
        byte[] file = Of("{}", 0);
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        AssertRefused(expected, file);
    }

    [Fact]
    public void Open_lists_all_problems_up_to_twenty()
    {
        string entries = string.Join(',', Enumerable.Range(0, 23).Select(i => Entry($"w{i}", "F8_E5M2", "[1]", "[0,1]")));
        InvalidDataException error = AssertRefused("23 problems.", Of($"{{{entries}}}", 1));
        Assert.Equal(20, error.Message.Split("F8_E5M2").Length - 1);
        Assert.EndsWith("\n- and 3 more.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Open_shortens_and_cleans_names_in_its_messages()
    {
        string name = "\\u001b[31m" + new string('x', 1_000_000);
        InvalidDataException error = AssertRefused("tensor '\\u{1B}[31mxxx", Of($$"""{"{{name}}":1}""", 0));
        Assert.InRange(error.Message.Length, 200, 1000);
    }

    [Fact]
    public void Open_names_what_it_looked_for_when_there_is_no_file()
    {
        string missing = _folder["missing.safetensors"];
        Assert.Contains(
            missing, Assert.Throws<FileNotFoundException>(() => SafetensorsReader.Open(missing)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "is a folder", Assert.Throws<FileNotFoundException>(() => SafetensorsReader.Open(_folder.Root)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Open_closes_a_file_that_it_refuses()
    {
        AssertRefused("it has 1 bytes", [1]);
        using FileStream alone = new(_folder["file.safetensors"], FileMode.Open, FileAccess.ReadWrite, FileShare.None);
        Assert.Equal(1, alone.Length);
    }

    private SafetensorsReader Open(byte[] file)
    {
        File.WriteAllBytes(_folder["file.safetensors"], file);
        return SafetensorsReader.Open(_folder["file.safetensors"]);
    }

    private InvalidDataException AssertRefused(string expected, byte[] file)
    {
        var error = Assert.Throws<InvalidDataException>(() => Open(file));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.StartsWith($"'{_folder["file.safetensors"]}' is not a valid safetensors file: ", error.Message, StringComparison.Ordinal);
        return error;
    }
}
