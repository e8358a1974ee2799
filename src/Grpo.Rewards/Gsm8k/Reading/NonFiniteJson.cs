namespace Grpo.Rewards;

/// <summary>
/// Reads over the numbers that JSON does not have. Python writes NaN, Infinity and -Infinity for them, so a score in a column that nobody
/// reads would make a whole file unreadable.
/// </summary>
internal static class NonFiniteJson
{
    /// <summary>
    /// Returns the line with a 0 in the place of each such number, as long as before; the line itself when there is none.
    /// </summary>
    public static ReadOnlySpan<byte> Replace(ReadOnlySpan<byte> line)
    {
        byte[]? copy = null;
        bool inString = false;
        for (int i = 0; i < line.Length; i++)
        {
            if (inString)
            {
                // A backslash takes the next character along.
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

        // A word of its own: between the signs that separate values.
        return length > 0 && IsBoundary(line, start - 1) && IsBoundary(line, start + length) ? length : 0;
    }

    private static bool IsBoundary(ReadOnlySpan<byte> line, int index) =>
        index < 0 || index >= line.Length || " \t\r,:[]{}"u8.Contains(line[index]);
}
