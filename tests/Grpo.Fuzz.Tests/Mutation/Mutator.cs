using System.Buffers.Binary;

namespace Grpo.Fuzz.Tests;

/// <summary>Damages a valid input. Equal numbers give equal damage.</summary>
internal static class Mutator
{
    public static FuzzInput Mutate(IReadOnlyList<FuzzInput> seeds, int target, int number)
    {
        // A hash that spreads the numbers, so that neighbors differ.
        var random = new Random(unchecked((int)(((uint)target * 0x9E3779B9u) ^ ((uint)number * 0x85EBCA6Bu))));
        FuzzInput input = seeds[random.Next(seeds.Count)];
        int edits = 1;
        while (edits < 8 && random.Next(2) == 0)
        {
            edits++;
        }

        for (int i = 0; i < edits; i++)
        {
            int part = random.Next(input.Parts.Count);
            FuzzPart victim = input.Parts[part], other = seeds[random.Next(seeds.Count)].Parts[part];
            input = input.With(part, Mutate(random, victim, other));
        }

        return input;
    }

    private static byte[] Mutate(Random random, FuzzPart part, FuzzPart other) => part.Format switch
    {
        PartFormat.Text => TextMutator.Mutate(random, part.Bytes),
        PartFormat.Template => TextMutator.Mutate(random, part.Bytes, TemplatePieces.All),
        _ when random.Next(4) == 0 => ByteMutator.Mutate(random, part.Bytes, other.Bytes),
        PartFormat.Json => JsonMutator.Mutate(random, part.Bytes),
        PartFormat.Safetensors => Header(random, part.Bytes),
        PartFormat.Parquet => Footer(random, part.Bytes),
        _ => ByteMutator.Mutate(random, part.Bytes, other.Bytes),
    };

    // Usually corrects the length of the header, so that the reader reaches the damage after it.
    private static byte[] Header(Random random, byte[] file)
    {
        if (file.Length < 8 || BinaryPrimitives.ReadUInt64LittleEndian(file) is var length && length > (ulong)(file.Length - 8))
        {
            return ByteMutator.Mutate(random, file, file);
        }

        byte[] header = file[8..(8 + (int)length)], data = file[(8 + (int)length)..];
        if (random.Next(8) == 0)
        {
            data = ByteMutator.Mutate(random, data, header);
        }
        else
        {
            header = JsonMutator.Mutate(random, header);
        }

        byte[] start = [.. file[..8]];
        if (random.Next(16) != 0)
        {
            BinaryPrimitives.WriteInt64LittleEndian(start, header.Length);
        }

        return [.. start, .. header, .. data];
    }

    // Corrects the length of a parquet file's footer, which comes after it.
    private static byte[] Footer(Random random, byte[] file)
    {
        if (file.Length < 12 || BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(file.Length - 8)) is var length
            && (length < 0 || length > file.Length - 12))
        {
            return ByteMutator.Mutate(random, file, file);
        }

        byte[] data = file[..(file.Length - 8 - length)], footer = file[(file.Length - 8 - length)..^8], end = file[^8..];
        if (random.Next(3) == 0)
        {
            // The magic number before the data decides which reader is used.
            data = [.. data[..4], .. ByteMutator.Mutate(random, data[4..], footer)];
        }
        else
        {
            footer = ByteMutator.Mutate(random, footer, data);
        }

        if (random.Next(16) != 0)
        {
            BinaryPrimitives.WriteInt32LittleEndian(end, footer.Length);
        }

        return [.. data, .. footer, .. end];
    }
}
