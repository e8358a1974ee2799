using System.Runtime.InteropServices;

namespace Grpo.Testing;

/// <summary>What TorchSharp throws when libtorch fails.</summary>
public static class NativeFailure
{
    /// <summary>A failure with the native side's message.</summary>
    /// <param name="message">The message.</param>
#pragma warning disable CA2201 // the runtime's type is the one that TorchSharp throws
    public static ExternalException Of(string message) => new(message);

    /// <summary>A managed allocation that failed.</summary>
    public static OutOfMemoryException Managed() => new();
#pragma warning restore CA2201

    /// <summary>A failed allocation in main memory.</summary>
    /// <param name="bytes">What was asked for.</param>
    public static ExternalException OutOfMemory(long bytes = 4096) => Of(FormattableString.Invariant(
        $"[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate {bytes} bytes. ")
        + "Error code 12 (Cannot allocate memory)");
}
