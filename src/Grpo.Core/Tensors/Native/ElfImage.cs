using System.Buffers.Binary;
using System.Text;

namespace Grpo.Tensors;

/// <summary>
/// Reads the symbol versions of a 64-bit little-endian ELF library and checks every offset, so a damaged file never crashes it.
/// </summary>
/// <remarks>Layout: System V gABI, "Sections"; Linux Standard Base, "Symbol Versioning".</remarks>
internal sealed class ElfImage
{
    private const uint Relocations = 4, VersionDefinitions = 0x6ffffffd, VersionNeeds = 0x6ffffffe, SymbolVersions = 0x6fffffff;
    private const int SectionHeaderSize = 64, RelocationSize = 24;
    private const int MaximumNameLength = 255;

    // A version index has 15 bits, so no valid file has more entries.
    private const int MaximumVersions = 0x8000;
    private const ushort VersionIndexMask = 0x7fff; // the top bit means "hidden"

    private readonly byte[] _bytes;
    private readonly Section[] _sections;

    /// <summary>Reads the section table.</summary>
    /// <exception cref="InvalidDataException">The file is of another format or damaged.</exception>
    public ElfImage(byte[] bytes)
    {
        _bytes = bytes;
        ReadOnlySpan<byte> header = At(0, 64);
        if (!header.StartsWith("\u007fELF"u8) || header[4] != 2 || header[5] != 1)
        {
            throw new InvalidDataException("Not a 64-bit little-endian ELF file.");
        }

        int count = UInt16(0x3c);
        if (count == 0 || UInt16(0x3a) != SectionHeaderSize)
        {
            throw new InvalidDataException(
                $"The ELF file has {count} section headers of {UInt16(0x3a)} bytes; at least one of {SectionHeaderSize} is needed.");
        }

        ulong table = UInt64(0x28);
        _ = At(table, (ulong)count * SectionHeaderSize);
        _sections = new Section[count];
        for (int i = 0; i < count; i++)
        {
            ulong at = table + ((ulong)i * SectionHeaderSize);
            _sections[i] = new Section(UInt32(at + 4), UInt64(at + 0x18), UInt64(at + 0x20), UInt32(at + 0x28), UInt32(at + 0x2c));
        }
    }

    /// <summary>Lists the versions that the library needs of others.</summary>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public IReadOnlyList<ElfVersionNeed> NeededVersions()
    {
        var needs = new List<ElfVersionNeed>();
        int steps = 0;
        foreach (Section section in _sections.Where(section => section.Type == VersionNeeds))
        {
            ulong library = section.Offset;
            for (uint i = 0; i < section.Info; i++)
            {
                _ = At(library, 16);
                string name = Name(section, UInt32(library + 4));
                ulong entry = library + UInt32(library + 8);
                for (int k = UInt16(library + 2); k > 0; k--)
                {
                    CountStep(ref steps);
                    _ = At(entry, 16);
                    needs.Add(
                        new ElfVersionNeed(name, Name(section, UInt32(entry + 8)), UInt16(entry + 6), UInt16(entry + 4), (int)entry + 4));
                    entry += UInt32(entry + 12);
                }

                CountStep(ref steps);
                library += UInt32(library + 12);
            }
        }

        return needs;
    }

    /// <summary>Lists the versions that the library defines.</summary>
    /// <exception cref="InvalidDataException">The file is damaged.</exception>
    public IReadOnlySet<string> DefinedVersions()
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        int steps = 0;
        foreach (Section section in _sections.Where(section => section.Type == VersionDefinitions))
        {
            ulong definition = section.Offset;
            for (uint i = 0; i < section.Info; i++)
            {
                CountStep(ref steps);
                _ = At(definition, 20);
                names.Add(Name(section, UInt32(definition + UInt32(definition + 12))));
                definition += UInt32(definition + 16);
            }
        }

        return names;
    }

    /// <summary>Lists the indices of the versions whose symbols are bound by some relocation.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or has no symbol versions.</exception>
    public IReadOnlySet<ushort> RelocatedVersions()
    {
        Section versions = _sections.FirstOrDefault(section => section.Type == SymbolVersions);
        if (versions.Type != SymbolVersions)
        {
            throw new InvalidDataException("The ELF file has no symbol versions.");
        }

        var indices = new HashSet<ushort>();
        ulong remaining = (ulong)_bytes.Length / RelocationSize; // sections do not overlap, so the file has room for all entries
        foreach (Section section in _sections.Where(section => section.Type == Relocations))
        {
            ulong count = section.Size / RelocationSize;
            if (count > remaining)
            {
                throw new InvalidDataException($"The ELF file claims {count} relocations in one section, more than it has room for.");
            }

            remaining -= count;
            for (ulong i = 0; i < count; i++)
            {
                ulong symbol = UInt64(section.Offset + (i * RelocationSize) + 8) >> 32;
                if (symbol != 0)
                {
                    indices.Add((ushort)(UInt16(versions.Offset + (symbol * 2)) & VersionIndexMask));
                }
            }
        }

        return indices;
    }

    private static void CountStep(ref int steps)
    {
        if (++steps > 2 * MaximumVersions)
        {
            throw new InvalidDataException("The ELF file lists more symbol versions than the format can number.");
        }
    }

    private string Name(Section section, uint offset)
    {
        if (section.Link >= (uint)_sections.Length)
        {
            throw new InvalidDataException($"The ELF file refers to string table {section.Link} but has {_sections.Length} sections.");
        }

        Section strings = _sections[section.Link];
        if (offset >= strings.Size)
        {
            throw new InvalidDataException($"The ELF file refers to a name at {offset} in a string table of {strings.Size} bytes.");
        }

        ReadOnlySpan<byte> text = At(strings.Offset + offset, Math.Min(strings.Size - offset, MaximumNameLength + 1));
        int end = text.IndexOf((byte)0);
        return end >= 0
            ? Encoding.ASCII.GetString(text[..end])
            : throw new InvalidDataException($"The ELF file has a name of more than {MaximumNameLength} bytes.");
    }

    private ushort UInt16(ulong offset) => BinaryPrimitives.ReadUInt16LittleEndian(At(offset, 2));

    private uint UInt32(ulong offset) => BinaryPrimitives.ReadUInt32LittleEndian(At(offset, 4));

    private ulong UInt64(ulong offset) => BinaryPrimitives.ReadUInt64LittleEndian(At(offset, 8));

    private ReadOnlySpan<byte> At(ulong offset, ulong length)
    {
        ulong size = (ulong)_bytes.Length;
        if (offset > size || length > size - offset)
        {
            throw new InvalidDataException($"The ELF file ends at {size} but refers to {length} bytes at {offset}.");
        }

        return _bytes.AsSpan((int)offset, (int)length);
    }

    private readonly record struct Section(uint Type, ulong Offset, ulong Size, uint Link, uint Info);
}

/// <summary>An entry of .gnu.version_r: a version that a library must find in one of its dependencies.</summary>
/// <param name="Library">The name of the dependency, such as libstdc++.so.6.</param>
/// <param name="Version">The name of the version, such as GLIBCXX_3.4.32.</param>
/// <param name="Index">The number of this version in .gnu.version.</param>
/// <param name="Flags">The flags. Bit 1 (0x2) marks the version as weak: it may be missing.</param>
/// <param name="FlagsOffset">The offset of the flags in the file, in bytes.</param>
internal readonly record struct ElfVersionNeed(string Library, string Version, ushort Index, ushort Flags, int FlagsOffset);
