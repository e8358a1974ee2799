using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using TorchSharp;

namespace Grpo.Tensors;

/// <summary>Resolves native libraries after the runtime's own search has failed. If that search succeeds, this never runs.</summary>
internal static class NativeResolver
{
    private static readonly Lock Gate = new();
    private static int _installed;
    private static nint _shim;

    /// <summary>The reason why the last attempt failed, or null. <see cref="BackendProbe"/> clears it before an attempt.</summary>
    public static BackendUnavailableException? Failure { get; set; }

    /// <summary>Registers the resolver and applies the native settings, once per process. Loads nothing.</summary>
    public static void Install()
    {
        if (Interlocked.Exchange(ref _installed, 1) != 0)
        {
            return;
        }

        NativeEnvironment.Apply();
        AssemblyLoadContext context = AssemblyLoadContext.GetLoadContext(typeof(torch).Assembly) ?? AssemblyLoadContext.Default;
        context.ResolvingUnmanagedDll += Resolve;
    }

    private static nint Resolve(Assembly requester, string library)
    {
        if (requester != typeof(torch).Assembly)
        {
            return 0;
        }

        lock (Gate)
        {
            // The runtime turns an exception of a handler into a misleading message, so keep the reason for EnsureAvailable.
            try
            {
                return library switch
                {
                    NativeFiles.Shim => _shim != 0 ? _shim : _shim = LoadShim(requester),
                    _ => ExistingLibtorch.FromEnvironment()?.Load(library) ?? 0,
                };
            }
            catch (BackendUnavailableException exception)
            {
                Failure = exception;
                return 0;
            }
        }
    }

    private static nint LoadShim(Assembly torchSharp) =>
        OperatingSystem.IsLinux() && NativeFiles.FindInApplication(NativeFiles.Shim) is { } path ? ShimRepair.Load(path, torchSharp) : 0;
}

/// <summary>Installs the resolver before any other code of this assembly runs.</summary>
internal static class NativeStartup
{
    [ModuleInitializer]
    [SuppressMessage(
        "Usage", "CA2255", Justification = "TorchSharp's static constructor fails for good: the fallback must stand before it runs.")]
    internal static void Initialize() => NativeResolver.Install();
}
