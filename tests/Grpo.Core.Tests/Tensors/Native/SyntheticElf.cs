using System.Buffers.Binary;
using System.Text;

namespace Grpo.Core.Tests.Tensors;

/// <summary>
/// The smallest library with symbol versions. It asks libstdc++.so.6 for GLIBCXX_3.4 (index 2, bound by a relocation) and GLIBCXX_3.4.32
/// (index 3, bound only on request), asks libc.so.6 for GLIBC_2.34 (index 4), and defines OWN_1.
/// </summary>
internal static class SyntheticElf
{
    private const int Strings = 64, StringsSize = 96, Versions = 160, Relocations = 176, Needs = 240, Definitions = 336, Sections = 400;

    /// <summary>Where the flags of GLIBCXX_3.4.32 lie.</summary>
    public const int FlagsOffset = Needs + 32 + 4;

    public static byte[] Build(bool bindsNewVersion = false)
    {
        byte[] image = new byte[Sections + (6 * 64)];
        "\u007fELF\u0002\u0001"u8.CopyTo(image);
        UInt64(image, 0x28, Sections);
        UInt16(image, 0x3a, 64);
        UInt16(image, 0x3c, 6);

        // Offsets: 1 libstdc++.so.6, 16 GLIBCXX_3.4, 28 GLIBCXX_3.4.32, 43 libc.so.6, 53 GLIBC_2.34, 64 OWN_1
        Encoding.ASCII.GetBytes("\0libstdc++.so.6\0GLIBCXX_3.4\0GLIBCXX_3.4.32\0libc.so.6\0GLIBC_2.34\0OWN_1\0").CopyTo(image, Strings);
        foreach ((int symbol, ushort version) in new[] { (1, (ushort)2), (2, (ushort)3), (3, (ushort)0x8004) })
        {
            UInt16(image, Versions + (symbol * 2), version);
        }

        UInt64(image, Relocations + 8, 1UL << 32);
        UInt64(image, Relocations + 24 + 8, (bindsNewVersion ? 2UL : 0UL) << 32);

        Need(image, Needs, count: 2, library: 1, next: 48);
        Version(image, Needs + 16, index: 2, name: 16, next: 16);
        Version(image, Needs + 32, index: 3, name: 28, next: 0);
        Need(image, Needs + 48, count: 1, library: 43, next: 0);
        Version(image, Needs + 64, index: 4, name: 53, next: 0);

        UInt32(image, Definitions + 12, 20);
        UInt32(image, Definitions + 20, 64);

        Section(image, 1, type: 3, Strings, StringsSize);
        Section(image, 2, type: 0x6fffffff, Versions, 8);
        Section(image, 3, type: 4, Relocations, 48);
        Section(image, 4, type: 0x6ffffffe, Needs, 80, link: 1, info: 2);
        Section(image, 5, type: 0x6ffffffd, Definitions, 28, link: 1, info: 1);
        return image;
    }

    private static void Need(byte[] image, int at, ushort count, uint library, uint next)
    {
        UInt16(image, at + 2, count);
        UInt32(image, at + 4, library);
        UInt32(image, at + 8, 16);
        UInt32(image, at + 12, next);
    }

    private static void Version(byte[] image, int at, ushort index, uint name, uint next)
    {
        UInt16(image, at + 6, index);
        UInt32(image, at + 8, name);
        UInt32(image, at + 12, next);
    }

    private static void Section(byte[] image, int number, uint type, ulong offset, ulong size, uint link = 0, uint info = 0)
    {
        int at = Sections + (number * 64);
        UInt32(image, at + 4, type);
        UInt64(image, at + 0x18, offset);
        UInt64(image, at + 0x20, size);
        UInt32(image, at + 0x28, link);
        UInt32(image, at + 0x2c, info);
    }

    private static void UInt16(byte[] image, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(at), value);

    private static void UInt32(byte[] image, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), value);

    private static void UInt64(byte[] image, int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);
}
