using System.Buffers.Binary;
using Grpo.IO;

namespace Grpo.Tensors;

/// <summary>Repairs a library for systems whose older libstdc++ lacks a version that the library names but does not use.</summary>
internal static class ElfVersionRepair
{
    private const ushort Weak = 0x2;

    /// <summary>Marks every needed version as weak that is not provided and that no relocation binds.</summary>
    /// <param name="image">The bytes of the library. Two bytes per version are changed in place.</param>
    /// <param name="library">The dependency, such as libstdc++.so.6.</param>
    /// <param name="provided">The versions that this system's copy of the dependency defines.</param>
    /// <returns>The versions marked as weak; empty if all are provided, so that the load failed for another reason.</returns>
    /// <exception cref="InvalidDataException">The image is damaged.</exception>
    /// <exception cref="NotSupportedException">The library uses a missing version: the dependency is too old.</exception>
    public static IReadOnlyList<string> Weaken(byte[] image, string library, IReadOnlySet<string> provided)
    {
        var elf = new ElfImage(image);
        ElfVersionNeed[] missing = [.. elf.NeededVersions()
            .Where(need => need.Library == library && (need.Flags & Weak) == 0 && !provided.Contains(need.Version))];
        if (missing.Length == 0)
        {
            return [];
        }

        IReadOnlySet<ushort> used = elf.RelocatedVersions();
        string[] essential = [.. missing.Where(need => used.Contains(need.Index)).Select(need => need.Version)];
        if (essential.Length > 0)
        {
            throw new NotSupportedException(
                $"{library} of this system is too old: it lacks {TerminalText.EscapeLine(string.Join(", ", essential))}. "
                + "Install a newer one, or use a newer distribution.");
        }

        foreach (ElfVersionNeed need in missing)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(need.FlagsOffset), (ushort)(need.Flags | Weak));
        }

        return [.. missing.Select(need => need.Version)];
    }
}
