using System.Text;
using CsCheck;
using Grpo.Core.Tests.Checkpoints;
using Grpo.Tensors;
using TorchSharp;

namespace Grpo.Core.Tests.Tensors;

public sealed class SafetensorsFuzzTests : IDisposable
{
    private const string Header =
        """{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BOOL","shape":[3]"""
            + ""","data_offsets":[16,19]}}  """;

    private static readonly byte[] Valid = SafetensorsBytes.Of(Header, 19);

    private readonly ScratchFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Open_reads_or_refuses_every_flip_of_one_bit()
    {
        int opened = 0;
        for (int bit = 0; bit < Valid.Length * 8; bit++)
        {
            byte[] file = [.. Valid];
            file[bit / 8] ^= (byte)(1 << (bit % 8));
            opened += OpenAndReadAll(file, 0) ? 1 : 0;
        }

        // All 128 bits of "a" may be anything, and of "b" the three lowest: flips in names, metadata and spaces come on top.
        Assert.InRange(opened, 128 + 3, Valid.Length * 4);
    }

    [Fact]
    public void Open_refuses_every_truncation()
    {
        for (int length = 0; length < Valid.Length; length++)
        {
            Assert.False(OpenAndReadAll(Valid[..length], 0), $"A file cut to {length} bytes was read.");
        }
    }

    [Fact]
    public void Open_reads_or_refuses_random_damage()
    {
        Gen<byte[]> damaged =
            from edits in Gen.Select(Gen.Int[0, Valid.Length - 1], Gen.Byte).Array[1, 8]
            from length in Gen.Int[0, Valid.Length + 8]
            from cut in Gen.Bool
            select Damage(edits, cut ? length : Valid.Length);
        int file = 0;
        damaged.Sample(bytes => { OpenAndReadAll(bytes, Interlocked.Increment(ref file)); }, iter: 3000);
        Assert.Equal(3000, file);
    }

    [Fact]
    public void Open_reads_or_refuses_random_tokens()
    {
        // Every token is plausible by itself, so that the damage gets past the JSON reader.
        string[] tokens = ["{", "}", "[", "]", ",", ":", "\"a\"", "\"dtype\"", "\"F32\"", "\"shape\"", "\"data_offsets\"",
            "\"__metadata__\"", "0", "4", "-1", "9223372036854775807", "null", " "];
        Gen<string> header = Gen.Int[0, tokens.Length - 1].Array[0, 24]
            .Select(picks => "{" + string.Concat(picks.Select(pick => tokens[pick])));
        int file = 0;
        header.Sample(text => { OpenAndReadAll(SafetensorsBytes.Of(text, 4), Interlocked.Increment(ref file)); }, iter: 3000);
        Assert.Equal(3000, file);
    }

    [Fact]
    public void Open_of_a_checkpoint_reads_or_refuses_every_damage_to_its_index()
    {
        byte[] valid = Encoding.UTF8.GetBytes("""{"metadata":{"total_size":19},"weight_map":{"a":"1.safetensors","b":"1.safetensors"}}""");
        File.WriteAllBytes(_folder["1.safetensors"], Valid);
        IEnumerable<byte[]> flipped = Enumerable.Range(0, valid.Length * 8).Select(bit =>
        {
            byte[] index = [.. valid];
            index[bit / 8] ^= (byte)(1 << (bit % 8));
            return index;
        });
        Assert.True(OpensCheckpoint(valid));
        Assert.InRange(flipped.Count(OpensCheckpoint), 1, valid.Length * 4);
        Assert.All(Enumerable.Range(0, valid.Length), length => Assert.False(OpensCheckpoint(valid[..length])));
    }

    private bool OpensCheckpoint(byte[] index)
    {
        File.WriteAllBytes(_folder["model.safetensors.index.json"], index);
        try
        {
            SafetensorsCheckpoint.Open(_folder.Root).Dispose();
            return true;
        }
        catch (InvalidDataException exception)
        {
            Assert.Contains("model.safetensors.index.json", exception.Message, StringComparison.Ordinal);
            return false;
        }
    }

    private static byte[] Damage((int At, byte Value)[] edits, int length)
    {
        byte[] file = [.. Valid];
        foreach ((int at, byte value) in edits)
        {
            file[at] = value;
        }

        Array.Resize(ref file, length);
        return file;
    }

    /// <summary>False when it was refused in the documented way; any other exception fails the test.</summary>
    private bool OpenAndReadAll(byte[] file, int number)
    {
        string path = _folder[$"{number}.safetensors"];
        File.WriteAllBytes(path, file);
        try
        {
            using var scope = TensorScope.Begin();
            using SafetensorsReader reader = SafetensorsReader.Open(path);
            foreach (SafetensorsEntry entry in reader.Entries.Values)
            {
                using torch.Tensor tensor = reader.Read(entry.Name);
                Assert.Equal(entry.Shape, tensor.shape);
            }

            return true;
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException)
        {
            Assert.Contains(path, exception.Message, StringComparison.Ordinal);
            return false;
        }
        finally
        {
            File.Delete(path);
        }
    }
}
