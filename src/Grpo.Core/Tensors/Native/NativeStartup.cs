using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Grpo.Tensors;

/// <summary>Runs before any other code of this assembly.</summary>
internal static class NativeStartup
{
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "TorchSharp's static constructor fails for good: the fallback must stand before it runs.")]
    internal static void Initialize() => NativeResolver.Install();
}
