namespace Grpo.Rewards.Reading;

/// <summary>
/// Replaces NaN, Infinity and -Infinity, which Python writes but JSON does not allow. Otherwise one in an unused column would make a whole
/// file unreadable.
/// </summary>
internal static class NonFiniteJson
{
    /// <summary>Returns the line with a 0 and blanks in place of each such number, or the line itself if it has none.</summary>
    public static ReadOnlySpan<byte> Replace(ReadOnlySpan<byte> line)
    {
        byte[]? copy = null;
        bool inString = false;
        for (int i = 0; i < line.Length; i++)
        {
            if (inString)
            {
                // A backslash escapes the next character.
                inString = line[i] != '"';
                i += line[i] == '\\' ? 1 : 0;
                continue;
            }

            inString = line[i] == '"';
            int length = LengthAt(line, i);
            if (length > 0)
            {
                copy ??= line.ToArray();
                copy.AsSpan(i, length).Fill((byte)' ');
                copy[i] = (byte)'0';
                i += length - 1;
            }
        }

        return copy ?? line;
    }

    private static int LengthAt(ReadOnlySpan<byte> line, int start)
    {
        ReadOnlySpan<byte> rest = line[start..];
        int length = rest.StartsWith("NaN"u8) ? 3 : rest.StartsWith("Infinity"u8) ? 8 : rest.StartsWith("-Infinity"u8) ? 9 : 0;

        // It must be a separate word, between the characters that separate values.
        return length > 0 && IsBoundary(line, start - 1) && IsBoundary(line, start + length) ? length : 0;
    }

    private static bool IsBoundary(ReadOnlySpan<byte> line, int index) =>
        index < 0 || index >= line.Length || " \t\r,:[]{}"u8.Contains(line[index]);
}
