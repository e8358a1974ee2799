namespace Grpo.Fuzz.Tests;

/// <summary>The format of a part, which determines the kind of damage.</summary>
internal enum PartFormat
{
    Bytes,
    Json,
    Safetensors,
    Parquet,

    /// <summary>Text in UTF-16, so that it can contain half a surrogate pair.</summary>
    Text,

    /// <summary>A chat template in UTF-16.</summary>
    Template,
}

/// <summary>One file or one text of an input.</summary>
/// <param name="Name">The name of the file.</param>
/// <param name="Format">The format of the content.</param>
/// <param name="Bytes">The content.</param>
internal sealed record FuzzPart(string Name, PartFormat Format, byte[] Bytes)
{
    public static FuzzPart Json(string name, string json) => new(name, PartFormat.Json, System.Text.Encoding.UTF8.GetBytes(json));

    public static FuzzPart Text(string text, PartFormat format = PartFormat.Text) =>
        new("text", format, [.. System.Runtime.InteropServices.MemoryMarshal.AsBytes(text.AsSpan())]);
}

/// <summary>The input of a parser: the files of a folder, or one text.</summary>
internal sealed record FuzzInput(params IReadOnlyList<FuzzPart> Parts)
{
    public long Size => Parts.Sum(part => (long)part.Bytes.Length);

    public byte[] Bytes => Parts[0].Bytes;

    public string Text => new(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, char>(Bytes));

    public FuzzInput With(int part, byte[] bytes) => new([.. Parts.Select((old, i) => i == part ? old with { Bytes = bytes } : old)]);

    public void WriteTo(string folder)
    {
        foreach (FuzzPart part in Parts)
        {
            File.WriteAllBytes(Path.Combine(folder, part.Name), part.Bytes);
        }
    }
}
