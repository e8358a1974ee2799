using TorchSharp;

namespace Grpo;

/// <summary>The native libraries below TorchSharp: loading them, naming their devices, describing them.</summary>
/// <remarks>
/// Grpo carries no libtorch of its own. An application references one backend package (such as <c>libtorch-cpu-linux-x64</c> or
/// <c>TorchSharp-cuda-linux</c>), or names an existing libtorch in the environment variable <c>GRPO_LIBTORCH</c>.
/// </remarks>
public static class TorchBackend
{
    /// <summary>The libtorch release that this TorchSharp is built for.</summary>
    internal const string LibtorchVersion = "2.10.0";

    private static readonly Lock Gate = new();
    private static volatile bool _available;

    /// <summary>Loads the native backend, or explains what is missing on this machine and what to do.</summary>
    /// <remarks>
    /// Thread-safe; after the first success a call costs one memory read. A failure may be followed by another attempt.
    /// Every entry point of Grpo calls it; an application needs it only to fail early, or when it is not written in C# and touches
    /// <c>torch</c> before Grpo.
    /// </remarks>
    /// <exception cref="BackendUnavailableException">libtorch or TorchSharp's native part cannot be loaded.</exception>
    public static void EnsureAvailable()
    {
        if (!_available)
        {
            Load();
        }
    }

    /// <summary>Prepares the process for TorchSharp without loading anything: never throws, costs nothing when repeated.</summary>
    /// <remarks>
    /// The Grpo.Core package adds a module initializer that calls this to every C# project that references it, so that code may touch
    /// <c>torch</c> before it touches Grpo. Set the MSBuild property <c>GrpoTorchInitializer</c> to <c>false</c> to leave it out.
    /// </remarks>
    public static void Install() => NativeResolver.Install();

    private static void Load()
    {
        lock (Gate)
        {
            if (_available)
            {
                return;
            }

            NativeResolver.Install();
            BackendProbe.RequireLoadable();
            try
            {
                torch.InitializeDeviceType(DeviceType.CPU);
            }
            catch (TypeInitializationException exception)
            {
                throw new BackendUnavailableException(
                    "TorchSharp was used before Grpo, failed to load its native libraries, and cannot try again in this process. "
                    + "Start again and call TorchBackend.EnsureAvailable() before any use of torch; it explains what is missing.",
                    exception);
            }

            _available = true;
        }
    }
}
