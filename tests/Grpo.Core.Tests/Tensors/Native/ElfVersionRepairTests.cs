using System.Buffers.Binary;
using CsCheck;
using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class ElfVersionRepairTests
{
    private const string StandardLibrary = "libstdc++.so.6";
    private static readonly HashSet<string> OldSystem = ["GLIBCXX_3.4"];

    [Fact]
    public void Weaken_marks_a_missing_version_that_nothing_binds()
    {
        byte[] image = SyntheticElf.Build();
        Assert.Equal(["GLIBCXX_3.4.32"], ElfVersionRepair.Weaken(image, StandardLibrary, OldSystem));

        byte[] expected = SyntheticElf.Build();
        expected[SyntheticElf.FlagsOffset] = 0x2;
        Assert.Equal(expected, image);
        Assert.Empty(ElfVersionRepair.Weaken(image, StandardLibrary, OldSystem)); // once is enough
    }

    [Fact]
    public void Weaken_changes_nothing_when_every_version_is_provided()
    {
        byte[] image = SyntheticElf.Build();
        Assert.Empty(ElfVersionRepair.Weaken(image, StandardLibrary, new HashSet<string> { "GLIBCXX_3.4", "GLIBCXX_3.4.32" }));
        Assert.Equal(SyntheticElf.Build(), image);
    }

    [Fact]
    public void Weaken_leaves_the_needs_of_other_libraries()
    {
        byte[] image = SyntheticElf.Build();
        Assert.Equal(["GLIBC_2.34"], ElfVersionRepair.Weaken(image, "libc.so.6", new HashSet<string>()));
        Assert.Equal(0, image[SyntheticElf.FlagsOffset]);
    }

    [Fact]
    public void Weaken_refuses_when_a_relocation_binds_the_missing_version()
    {
        byte[] image = SyntheticElf.Build(bindsNewVersion: true);
        var error = Assert.Throws<NotSupportedException>(() => ElfVersionRepair.Weaken(image, StandardLibrary, OldSystem));
        Assert.Equal(
            "libstdc++.so.6 of this system is too old: it lacks GLIBCXX_3.4.32. Install a newer one, or use a newer distribution.",
            error.Message);
        Assert.Equal(SyntheticElf.Build(bindsNewVersion: true), image);
    }

    [Fact]
    public void DefinedVersions_lists_what_the_library_defines() =>
        Assert.Equal(["OWN_1"], new ElfImage(SyntheticElf.Build()).DefinedVersions());

    [Fact]
    public void Weaken_changes_one_byte_of_the_real_shim()
    {
        byte[] original = File.ReadAllBytes(RealShim);
        byte[] image = [.. original];
        HashSet<string> provided =
            [.. new ElfImage(original).NeededVersions().Where(need => need.Library == StandardLibrary).Select(need => need.Version)];
        Assert.Contains("GLIBCXX_3.4.32", provided);
        provided.Remove("GLIBCXX_3.4.32");

        Assert.Equal(["GLIBCXX_3.4.32"], ElfVersionRepair.Weaken(image, StandardLibrary, provided));
        int[] changed = [.. Enumerable.Range(0, image.Length).Where(i => image[i] != original[i])];
        Assert.Equal((1, (byte)2), (changed.Length, image[changed[0]]));
    }

    [Fact]
    public void Weaken_refuses_the_real_shim_on_a_system_without_the_versions_that_it_uses()
    {
        byte[] image = File.ReadAllBytes(RealShim);
        var error = Assert.Throws<NotSupportedException>(() => ElfVersionRepair.Weaken(image, StandardLibrary, new HashSet<string>()));
        Assert.Contains("GLIBCXX_3.4.21", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weaken_reports_every_truncation()
    {
        byte[] whole = SyntheticElf.Build();
        for (int length = 0; length < whole.Length; length++)
        {
            byte[] cut = whole[..length];
            Assert.Throws<InvalidDataException>(() => ElfVersionRepair.Weaken(cut, StandardLibrary, OldSystem));
        }
    }

    [Fact]
    public void Weaken_succeeds_or_reports_whatever_bytes_are_damaged() =>
        Gen.Select(Gen.Int[0, SyntheticElf.Build().Length - 1], Gen.Byte).Array[1, 8].Sample(
            damages =>
            {
                byte[] image = SyntheticElf.Build();
                foreach ((int at, byte value) in damages)
                {
                    image[at] = value;
                }

                try
                {
                    _ = ElfVersionRepair.Weaken(image, StandardLibrary, OldSystem);
                    _ = new ElfImage(image).DefinedVersions();
                    return true;
                }
                catch (Exception exception)
                {
                    return exception is InvalidDataException or NotSupportedException;
                }
            },
            iter: 20_000);

    [Theory]
    [InlineData(400 + (4 * 64) + 0x18, ulong.MaxValue - 7)] // the needs begin beyond the end, and the sum overflows
    [InlineData(400 + (4 * 64) + 0x28, 0x0000_0002_ffff_fffful)] // a string table that is not there
    [InlineData(400 + (3 * 64) + 0x20, 1ul << 60)] // more relocations than bytes
    [InlineData(0x28, ulong.MaxValue)] // the section table begins beyond the end
    [InlineData(240 + 48 + 4, 1000ul)] // a name beyond the strings
    public void Weaken_reports_hostile_offsets(int at, ulong value)
    {
        byte[] image = SyntheticElf.Build();
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);
        Assert.Throws<InvalidDataException>(() => ElfVersionRepair.Weaken(image, StandardLibrary, OldSystem));
    }

    [Fact]
    public void NeededVersions_ends_when_the_entries_claim_billions()
    {
        byte[] image = SyntheticElf.Build();
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(400 + (4 * 64) + 0x2c), uint.MaxValue); // 4 G needs, the last repeats itself
        var error = Assert.Throws<InvalidDataException>(() => new ElfImage(image).NeededVersions());
        Assert.Equal("The ELF file lists more symbol versions than the format can number.", error.Message);
    }

    [Fact]
    public void Constructor_refuses_what_is_not_a_64_bit_library()
    {
        byte[] image = SyntheticElf.Build();
        image[4] = 1; // 32-bit
        Assert.Equal("Not a 64-bit little-endian ELF file.", Assert.Throws<InvalidDataException>(() => new ElfImage(image)).Message);
    }

    // The package carries the shims of all systems, so this file lies in the output on each.
    private static string RealShim => Path.Combine(AppContext.BaseDirectory, "runtimes", "linux-x64", "native", "libLibTorchSharp.so");
}
