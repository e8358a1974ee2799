using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Grpo.Core.Tests.Checkpoints;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

public sealed class SafetensorsRoundTripTests : IDisposable
{
    private readonly ScratchFolder _folder = new();

    private string File1 => _folder["one.safetensors"];

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Write_then_Read_keeps_every_bit_of_every_dtype()
    {
        using var scope = TensorScope.Begin();
        // A NaN with a payload, an infinity, a subnormal and -0 do not survive a conversion, only a copy.
        var tensors = new Dictionary<string, Tensor>
        {
            ["f64"] = tensor([double.NegativeZero, double.Epsilon, 0.1]),
            ["f32"] = FromBits<uint>(ScalarType.Float32, 0x7FC12345, 0xFF800000, 1, 0x80000000, 0x3F800001),
            ["f16"] = FromBits<ushort>(ScalarType.Float16, 0x7E01, 0xFC00, 1),
            ["bf16"] = FromBits<ushort>(ScalarType.BFloat16, 0x7FC1, 0xFF80, 1),
            ["i64"] = tensor([long.MinValue, -1, long.MaxValue]),
            ["i32"] = tensor([int.MinValue, 7]),
            ["i16"] = tensor(new short[] { short.MinValue, 7 }),
            ["i8"] = tensor(new sbyte[] { sbyte.MinValue, 7 }),
            ["u8"] = tensor(new byte[] { 255, 7 }),
            ["bool"] = tensor([true, false, true]),
        };
        SafetensorsWriter.Write(File1, tensors);
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Assert.Equal(tensors.Count, reader.Entries.Count);
        foreach ((string name, Tensor written) in tensors)
        {
            AssertSame(written, reader.Read(name));
            Tensor target = empty_like(written);
            reader.ReadInto(name, target);
            AssertSame(written, target);
        }
    }

    [Fact]
    public void Write_then_Read_keeps_empty_and_scalar_tensors()
    {
        using var scope = TensorScope.Begin();
        Write(("empty", empty([0, 5], ScalarType.BFloat16)), ("scalar", tensor(2.5f)), ("tail", zeros([3, 0], ScalarType.Bool)));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Assert.Equal([0, 5], reader.Read("empty").shape);
        Assert.Equal(ScalarType.BFloat16, reader.Read("empty").dtype);
        Assert.Empty(reader.Read("scalar").shape);
        Assert.Equal(2.5f, reader.Read("scalar").item<float>());
        Assert.Equal([3, 0], reader.Read("tail").shape);
        Tensor target = zeros([]);
        reader.ReadInto("scalar", target);
        Assert.Equal(2.5f, target.item<float>());
    }

    [Fact]
    public void Write_stores_views_and_parameters_in_row_major_order_and_leaves_them_as_they_were()
    {
        using var scope = TensorScope.Begin();
        Tensor source = arange(12, dtype: ScalarType.Float32).view(3, 4);
        using var parameter = new Parameter(ones(2), requires_grad: true);
        Write(("transposed", source.t()), ("column", source.narrow(1, 1, 1)), ("expanded", ones(1).expand(3)), ("parameter", parameter));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Assert.Equal([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11], reader.Read("transposed").data<float>().ToArray());
        Assert.Equal([4, 3], reader.Read("transposed").shape);
        Assert.Equal([1, 5, 9], reader.Read("column").data<float>().ToArray());
        Assert.Equal([1, 1, 1], reader.Read("expanded").data<float>().ToArray());
        Assert.False(reader.Read("parameter").requires_grad);
        Assert.True(parameter.requires_grad && parameter.is_leaf);
    }

    [Fact]
    public void ReadInto_fills_a_parameter_in_place_without_recording_a_gradient()
    {
        using var scope = TensorScope.Begin();
        Write(("w", tensor([1f, 2f, 3f])));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        using var parameter = new Parameter(zeros(3), requires_grad: true);
        using var half = new Parameter(zeros([3], ScalarType.Float16), requires_grad: true);
        Tensor alias = parameter.detach();
        reader.ReadInto("w", parameter);
        reader.ReadInto("w", half);
        Assert.Equal([1, 2, 3], alias.data<float>().ToArray());
        Assert.True(parameter.requires_grad && parameter.is_leaf && half.is_leaf);
        (parameter * parameter).sum().backward();
        Assert.Equal([2, 4, 6], parameter.grad!.data<float>().ToArray());
    }

    [Theory]
    [InlineData(ScalarType.Float32, ScalarType.BFloat16, 1.0)]           // 1 + 2^-9 is halfway between 1 and 1 + 2^-7 and below: to even
    [InlineData(ScalarType.Float32, ScalarType.Float16, 1.001953125)]    // 2^-9 fits the 10 bits of float16
    [InlineData(ScalarType.Float32, ScalarType.Float64, 1.001953125)]
    [InlineData(ScalarType.Float16, ScalarType.Float32, 1.001953125)]
    [InlineData(ScalarType.BFloat16, ScalarType.Float16, 1.0)]
    [InlineData(ScalarType.Float64, ScalarType.Float32, 1.001953125)]
    public void ReadInto_converts_between_float_types(ScalarType stored, ScalarType wanted, double expected)
    {
        using var scope = TensorScope.Begin();
        Write(("w", tensor([1.001953125, -0.5, double.PositiveInfinity]).to(stored)));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Tensor target = zeros([3], wanted);
        reader.ReadInto("w", target);
        Assert.Equal(wanted, target.dtype);
        Assert.Equal([expected, -0.5, double.PositiveInfinity], target.to(ScalarType.Float64).data<double>().ToArray());
    }

    [Fact]
    public void ReadInto_fills_a_destination_that_is_not_contiguous()
    {
        using var scope = TensorScope.Begin();
        Write(("w", tensor(new long[,] { { 1, 2 }, { 3, 4 }, { 5, 6 } })), ("f", tensor([1f, 2f])));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Tensor memory = zeros([2, 3], ScalarType.Int64);
        reader.ReadInto("w", memory.t());
        Assert.Equal([1, 3, 5, 2, 4, 6], memory.data<long>().ToArray());
        Tensor wide = zeros([2, 2], ScalarType.BFloat16);
        reader.ReadInto("f", wide.select(1, 1));
        Assert.Equal([0, 1, 0, 2], wide.to(ScalarType.Float32).data<float>().ToArray());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1_000_003)]
    public void Write_then_Read_joins_pieces_without_a_seam(int beyond)
    {
        using var scope = TensorScope.Begin();
        int pieces = 2 * SafetensorsTransfer.PieceBytes / sizeof(int);
        Tensor large = arange(pieces + beyond, dtype: ScalarType.Int32);
        Write(("large", large), ("float", large.to(ScalarType.Float64)));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        AssertSame(large, reader.Read("large"));
        Tensor target = zeros([pieces + beyond], ScalarType.Float32);
        reader.ReadInto("float", target);
        Assert.True(target.eq(large).all().item<bool>());                // all below 2^24: exact in float32
    }

    [Fact]
    public void Read_reaches_tensors_beyond_the_first_4_gigabytes()
    {
        const long big = 5_000_000_000;
        string header = $$"""{{{SafetensorsBytes.Entry("big", "U8", $"[{big}]", $"[0,{big}]")}},"""
            + $$"""{{SafetensorsBytes.Entry("w", "F32", "[2]", $"[{big},{big + 8}]")}}}""";
        using (FileStream file = File.Create(File1))
        {
            file.Write(SafetensorsBytes.Of(header, 0));
            file.SetLength(file.Length + big);                           // a hole: takes no space on most file systems
            file.Position = file.Length;
            file.Write([0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]);
        }

        using var scope = TensorScope.Begin();
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Assert.Equal(big, reader.Entries["big"].Length);
        Assert.Equal([1, 2], reader.Read("w").data<float>().ToArray());
    }

    [Fact]
    public void Read_gives_a_tensor_of_the_callers_scope_that_outlives_the_file()
    {
        using var outer = TensorScope.Begin();
        Write(("w", ones(2)));
        SafetensorsReader reader = SafetensorsReader.Open(File1);
        Tensor kept;
        using (var inner = TensorScope.Begin())
        {
            kept = inner.Keep(reader.Read("w"));
        }

        reader.Dispose();
        Assert.Equal([1, 1], kept.data<float>().ToArray());
        Assert.Throws<ObjectDisposedException>(() => reader.Read("w"));
    }

    [Fact]
    public void Read_and_ReadInto_leave_no_tensor_behind()
    {
        using var scope = TensorScope.Begin();
        Write(("w", ones(1000)));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Tensor target = zeros([1000], ScalarType.BFloat16);
        long before = DisposeScopeManager.Statistics.ThreadTotalLiveCount;
        reader.ReadInto("w", target);
        reader.Read("w").Dispose();
        SafetensorsWriter.Write(_folder["two.safetensors"], [new("w", target)]);
        Assert.Equal(before, DisposeScopeManager.Statistics.ThreadTotalLiveCount);
    }

    [Fact]
    public void ReadInto_refuses_what_does_not_fit_and_says_both_sides()
    {
        using var scope = TensorScope.Begin();
        Write(("w", ones(2, 3)), ("ids", ones([2], ScalarType.Int64)));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        Assert.Contains(
            "is [2, 3] but the destination is [3, 2]", Assert.Throws<ArgumentException>(() => reader.ReadInto("w", zeros(3, 2))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "is Int64 but the destination is Float32", Assert.Throws<ArgumentException>(() => reader.ReadInto("ids", zeros(2))).Message,
            StringComparison.Ordinal);
        Assert.Contains("is Float32 but the destination is Int64", Assert.Throws<ArgumentException>(
            () => reader.ReadInto("w", zeros([2, 3], ScalarType.Int64))).Message, StringComparison.Ordinal);
        Assert.Contains(
            "meta device", Assert.Throws<ArgumentException>(() => reader.ReadInto("w", zeros([2, 3], device: META))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "has no tensor 'v'; it has 2 others", Assert.Throws<KeyNotFoundException>(() => reader.ReadInto("v", zeros(2))).Message,
            StringComparison.Ordinal);
        Assert.Throws<KeyNotFoundException>(() => reader.Read("v"));
    }

    [Fact]
    public void Read_refuses_a_bool_that_is_neither_0_nor_1()
    {
        byte[] file = SafetensorsBytes.Of($"{{{SafetensorsBytes.Entry("mask", "BOOL", "[3]", "[0,3]")}}}", 3);
        file[^1] = 2;
        File.WriteAllBytes(File1, file);
        using var scope = TensorScope.Begin();
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        var error = Assert.Throws<InvalidDataException>(() => reader.Read("mask"));
        Assert.Contains("tensor 'mask' is BOOL but holds a byte of value 2", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Read_says_that_a_file_was_shortened_after_it_was_opened()
    {
        using var scope = TensorScope.Begin();
        Write(("w", ones(100)));
        using SafetensorsReader reader = SafetensorsReader.Open(File1);
        byte[] bytes = File.ReadAllBytes(File1);
        if (OperatingSystem.IsWindows())
        {
            Assert.Throws<IOException>(() => File.WriteAllBytes(File1, bytes[..200]));
            return;
        }

        // Elsewhere a lock is only advice, which other programs do not take.
        using System.Diagnostics.Process shorten = System.Diagnostics.Process.Start("truncate", ["-s", "200", File1]);
        shorten.WaitForExit();
        Assert.Contains("it was shortened", Assert.Throws<EndOfStreamException>(() => reader.Read("w")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Write_lays_the_file_out_as_the_format_asks()
    {
        using var scope = TensorScope.Begin();
        Write(("b", zeros([3], ScalarType.Byte)), ("ä+", zeros([1], ScalarType.Float16)), ("a", tensor([1f])), ("z", tensor([2L])));
        byte[] bytes = File.ReadAllBytes(File1);
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(bytes);
        Assert.Equal(0, length % 8);
        Assert.Equal(
            """{"__metadata__":{"format":"pt"},"z":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[1]"""
            + ""","data_offsets":[8,12]},"ä+":{"dtype":"F16","shape":[1],"data_offsets":[12,14]},"b":{"dtype":"U8","shape":[3]"""
            + ""","data_offsets":[14,17]}}""",
            Encoding.UTF8.GetString(bytes, 8, length).TrimEnd(' '));
        Assert.Equal([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0, 0], bytes[(8 + length)..]);
    }

    [Fact]
    public void Write_gives_the_same_bytes_for_any_order_and_culture()
    {
        using var scope = TensorScope.Begin();
        (string, Tensor)[] tensors =
            [("I", ones(2)), ("i", ones(3)), ("ı", zeros([1], ScalarType.Int64)), ("a", zeros([1], ScalarType.Byte))];
        Write(tensors);
        byte[] expected = File.ReadAllBytes(File1);
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("tr-TR");
            Write([.. tensors.Reverse()]);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        Assert.Equal(expected, File.ReadAllBytes(File1));
    }

    [Fact]
    public void Write_adds_metadata_to_the_format_unless_it_is_given()
    {
        using var scope = TensorScope.Begin();
        SafetensorsWriter.Write(File1, [new("w", ones(1))], new Dictionary<string, string> { ["step"] = "12", ["a\"b"] = "ü" });
        using (SafetensorsReader reader = SafetensorsReader.Open(File1))
        {
            Assert.Equal(new Dictionary<string, string> { ["format"] = "pt", ["step"] = "12", ["a\"b"] = "ü" }, reader.Metadata);
        }

        SafetensorsWriter.Write(File1, [], new Dictionary<string, string> { ["format"] = "mlx" });
        using SafetensorsReader empty = SafetensorsReader.Open(File1);
        Assert.Equal("mlx", empty.Metadata["format"]);
        Assert.Empty(empty.Entries);
    }

    [Fact]
    public void Write_refuses_what_the_format_cannot_hold()
    {
        using var scope = TensorScope.Begin();
        AssertNotWritten("Tensor 'c' is ComplexFloat32, which cannot be stored", ("c", zeros([1], ScalarType.ComplexFloat32)));
        AssertNotWritten("Tensor 'w' is given twice", ("w", ones(1)), ("w", ones(1)));
        AssertNotWritten("Tensor '__metadata__' cannot be written", ("__metadata__", ones(1)));
        AssertNotWritten("half of a surrogate pair", ("\ud800x", ones(1)));
        AssertNotWritten("on the meta device", ("m", zeros([1], device: META)));
        Assert.Empty(Directory.GetFiles(_folder.Root));
    }

    [Fact]
    public void Write_leaves_the_earlier_file_and_no_other_when_it_fails()
    {
        using var scope = TensorScope.Begin();
        Write(("w", ones(2)));
        byte[] before = File.ReadAllBytes(File1);
        Tensor broken = ones(3);
        IEnumerable<KeyValuePair<string, Tensor>> Failing()
        {
            yield return new("w", broken);
            throw new InvalidOperationException("no more");
        }

        Assert.Throws<InvalidOperationException>(() => SafetensorsWriter.Write(File1, Failing()));
        Assert.Equal(before, File.ReadAllBytes(File1));
        Directory.CreateDirectory(_folder["taken"]);
        Assert.ThrowsAny<Exception>(() => SafetensorsWriter.Write(_folder["taken"], [new("w", broken)]));
        Assert.Throws<DirectoryNotFoundException>(() => SafetensorsWriter.Write(_folder["missing", "x.safetensors"], [new("w", broken)]));
        Assert.Equal([File1], Directory.GetFiles(_folder.Root));
    }

    private void AssertNotWritten(string expected, params (string, Tensor)[] tensors)
    {
        var error = Assert.Throws<ArgumentException>(() => Write(tensors));
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
        Assert.Equal("tensors", error.ParamName);
    }

    private void Write(params (string Name, Tensor Tensor)[] tensors) =>
        SafetensorsWriter.Write(File1, tensors.Select(pair => new KeyValuePair<string, Tensor>(pair.Name, pair.Tensor)));

    private static Tensor FromBits<T>(ScalarType dtype, params T[] bits)
        where T : unmanaged
    {
        Tensor tensor = empty([bits.Length], dtype);
        MemoryMarshal.AsBytes(bits.AsSpan()).CopyTo(tensor.bytes);
        return tensor;
    }

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.dtype, actual.dtype);
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(expected.bytes.SequenceEqual(actual.bytes), "the bytes differ");
    }
}
