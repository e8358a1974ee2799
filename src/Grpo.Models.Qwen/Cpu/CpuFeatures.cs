using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The features of the processor that decide how fast a model runs.</summary>
internal static class CpuFeatures
{
    /// <summary>The width in bits of the vectors that the decoding kernels use.</summary>
    internal static int VectorBits =>
        Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;

    /// <summary>
    /// False if the processor is known to have no instructions for products in bfloat16 (AVX512-BF16 or AMX). libtorch then converts every
    /// number.
    /// </summary>
    internal static bool HasBFloat16Products { get; } = !X86Base.IsSupported || HasX86Instructions();

    // Intel's manual, CPUID leaf 7: subleaf 1, EAX bit 5 is AVX512_BF16, and subleaf 0, EDX bit 22 is AMX-BF16. The system must have
    // enabled the wide registers too, which the runtime checks for AVX-512.
    private static bool HasX86Instructions()
    {
        const int ExtendedFeatures = 7;
        (int subleaves, _, _, int registers) = X86Base.CpuId(ExtendedFeatures, 0);
        bool hasAmx = (registers & (1 << 22)) != 0;
        bool hasAvx512 = subleaves >= 1 && (X86Base.CpuId(ExtendedFeatures, 1).Eax & (1 << 5)) != 0;
        return Avx512F.IsSupported && (hasAmx || hasAvx512);
    }
}
