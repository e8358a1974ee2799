using System.Buffers.Binary;
using System.Text;

namespace Grpo.Core.Tests.Tensors;

/// <summary>Safetensors files made by hand, right and wrong.</summary>
internal static class SafetensorsBytes
{
    /// <summary>A file with the given header, without padding, followed by that many zero bytes of data.</summary>
    public static byte[] Of(string header, int dataBytes) => Of(Encoding.UTF8.GetBytes(header), dataBytes);

    public static byte[] Of(byte[] header, int dataBytes)
    {
        var file = new byte[8 + header.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file, 8);
        return file;
    }

    /// <summary>The entry of one tensor, ready to be joined with commas inside braces.</summary>
    public static string Entry(string name, string dtype, string shape, string offsets) =>
        $$"""
        "{{name}}":{"dtype":"{{dtype}}","shape":{{shape}},"data_offsets":{{offsets}}}
        """;
}
