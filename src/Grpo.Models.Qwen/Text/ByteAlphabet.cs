namespace Grpo.Models.Qwen.Text;

/// <summary>The 256 visible characters with which a byte-level vocabulary file writes bytes.</summary>
/// <remarks>
/// GPT-2's convention: a printable Latin-1 byte stands for itself. The other 68 (controls, space, 0x7F–0xA0, 0xAD) are written, in order,
/// as U+0100 and up.
/// So a space is Ġ and a line feed is Ċ.
/// </remarks>
internal static class ByteAlphabet
{
    private static readonly char[] CharOfByte = MakeCharOfByte();
    private static readonly short[] ByteOfChar = MakeByteOfChar();

    /// <summary>The bytes in the order of their characters, in which Qwen's vocabulary numbers them.</summary>
    public static IReadOnlyList<byte> BytesByCharacter { get; } =
        [.. Enumerable.Range(0, 256).Select(value => (byte)value).OrderBy(value => CharOfByte[value])];

    /// <summary>The bytes that occur in UTF-8: all but 0xC0, 0xC1 and 0xF5 to 0xFF.</summary>
    public static IReadOnlyList<byte> BytesOfText { get; } =
        [.. Enumerable.Range(0, 256).Select(value => (byte)value).Where(value => value is < 0xC0 or (> 0xC1 and < 0xF5))];

    public static char ToChar(byte value) => CharOfByte[value];

    /// <summary>Converts a character to its byte. Returns false if it stands for none.</summary>
    public static bool TryToByte(char character, out byte value)
    {
        short found = character < ByteOfChar.Length ? ByteOfChar[character] : (short)-1;
        value = (byte)found;
        return found >= 0;
    }

    /// <summary>Returns the bytes of a token. Every character must stand for a byte.</summary>
    public static byte[] ToBytes(string token)
    {
        var bytes = new byte[token.Length];
        for (int i = 0; i < bytes.Length; i++)
        {
            TryToByte(token[i], out bytes[i]);
        }

        return bytes;
    }

    /// <summary>Writes bytes in the characters of a vocabulary file.</summary>
    public static string ToText(ReadOnlySpan<byte> bytes) =>
        string.Create(bytes.Length, bytes, static (target, source) =>
        {
            for (int i = 0; i < source.Length; i++)
            {
                target[i] = CharOfByte[source[i]];
            }
        });

    private static bool IsPrintable(int value) => value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xFF and not 0xAD);

    private static char[] MakeCharOfByte()
    {
        var characters = new char[256];
        int next = 0x100;
        for (int value = 0; value < 256; value++)
        {
            characters[value] = (char)(IsPrintable(value) ? value : next++);
        }

        return characters;
    }

    private static short[] MakeByteOfChar()
    {
        var bytes = new short[CharOfByte.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (int value = 0; value < 256; value++)
        {
            bytes[CharOfByte[value]] = (short)value;
        }

        return bytes;
    }
}
