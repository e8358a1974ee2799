namespace Grpo.Tensors;

/// <summary>One entry of .gnu.version_r: a version that must be defined by a library this one depends on.</summary>
/// <param name="Library">The library's name, such as libstdc++.so.6.</param>
/// <param name="Version">The version's name, such as GLIBCXX_3.4.32.</param>
/// <param name="Index">The number that .gnu.version gives to the symbols of this version.</param>
/// <param name="Flags">Bit 1 (0x2) marks the version as weak: the loader does not insist on it.</param>
/// <param name="FlagsOffset">Where the flags lie in the file, in bytes.</param>
internal readonly record struct ElfVersionNeed(string Library, string Version, ushort Index, ushort Flags, int FlagsOffset);
