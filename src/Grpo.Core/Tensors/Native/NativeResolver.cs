using System.Reflection;
using System.Runtime.Loader;
using TorchSharp;

namespace Grpo.Tensors;

/// <summary>The fallback that the runtime asks after its own search for a native library has failed; where that succeeds, this never runs.</summary>
internal static class NativeResolver
{
    private static readonly Lock Gate = new();
    private static int _installed;
    private static nint _shim;

    /// <summary>Why the last fallback failed, or null. The probe clears it before an attempt.</summary>
    public static BackendUnavailableException? Failure { get; set; }

    /// <summary>Registers the fallback and applies the native settings, once per process. Loads nothing.</summary>
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
            // The runtime swallows what a handler throws into a misleading report: the reason is kept for EnsureAvailable.
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
