using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Grpo.Modeling;
using TorchSharp;

namespace Grpo.Tensors;

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

    /// <summary>Whether CUDA may multiply float32 matrices as TF32 (<see cref="UseTensorFloat32"/>).</summary>
    /// <value>False until it is switched on.</value>
    /// <exception cref="BackendUnavailableException">libtorch cannot be loaded.</exception>
    public static bool UsesTensorFloat32
    {
        get
        {
            EnsureAvailable();
            return torch.backends.cuda.matmul.allow_tf32;
        }
    }

    /// <summary>
    /// Lets CUDA multiply float32 matrices as TF32: factors rounded to 10 bits of mantissa, as float16 has, sums in float32. Faster on cards
    /// from Ampere on, without effect elsewhere.
    /// </summary>
    /// <param name="use">False: switches it off again.</param>
    /// <remarks>For the whole process: call it before the first model is loaded, so that rollouts, updates and the reference model agree.</remarks>
    /// <exception cref="BackendUnavailableException">libtorch cannot be loaded.</exception>
    public static void UseTensorFloat32(bool use = true)
    {
        EnsureAvailable();
        torch.backends.cuda.matmul.allow_tf32 = use;
    }

    /// <summary>
    /// Has tensors of 1 MiB and more give their memory back to the system as soon as they are freed, in place of those of 32 MiB and more: for a
    /// process on a CPU whose peak does not fit. It is then a tenth or more lower, and an update takes half as long again.
    /// </summary>
    /// <remarks>For the whole process. On Linux with glibc; without effect elsewhere, and where <c>MALLOC_MMAP_THRESHOLD_</c> is set.</remarks>
    public static void ReturnFreedMemory()
    {
        const int Block = 1 << 20;
        Install(); // which sets the bound that this one replaces
        NativeEnvironment.ReturnBlocksFrom(Block);
    }

    /// <summary>Tells a failed allocation, in main memory or on a GPU, from other errors: doing less at a time may get round it.</summary>
    /// <param name="exception">As caught from a tensor operation; also one that wraps it.</param>
    public static bool IsOutOfMemory(Exception exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return OutOfMemory.Is(exception);
    }

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

    /// <summary>Reads the name of a device and makes it ready for use.</summary>
    /// <param name="device"><c>cpu</c>, <c>cuda</c> (the first CUDA device) or <c>cuda:N</c>, N counted from 0.</param>
    /// <returns>The device, always with its index when it is a CUDA device.</returns>
    /// <exception cref="ArgumentException">Another name, or a CUDA device beyond the last.</exception>
    /// <exception cref="BackendUnavailableException">libtorch cannot be loaded, has no CUDA part, or finds no CUDA device.</exception>
    public static torch.Device ParseDevice(string device)
    {
        int? index = DeviceName.ParseCudaIndex(device);
        EnsureAvailable();
        if (index is not { } cuda)
        {
            return torch.CPU;
        }

        int count = CudaDeviceCount();
        DeviceName.RequireCuda(device, cuda, count, cudaBuild: count > 0 || HasCudaPart());
        torch.InitializeDeviceType(DeviceType.CUDA);
        return new torch.Device(DeviceType.CUDA, cuda);
    }

    /// <summary>One line for reports and logs.</summary>
    /// <returns>
    /// Such as <c>libtorch 2.10.0, TorchSharp 0.107.0, linux-x64, 8 threads, no CUDA</c>, or at the end <c>cuda:0 NVIDIA H200</c>.
    /// </returns>
    /// <exception cref="BackendUnavailableException">libtorch cannot be loaded.</exception>
    public static string Describe()
    {
        EnsureAvailable();
        string torchSharp = typeof(torch).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "of unknown version";
        string libtorch = ExistingLibtorch.FromEnvironment() is { } existing ? existing.Version ?? "of unknown version" : LibtorchVersion;
        int threads = torch.get_num_threads();
        string[] devices = [.. Enumerable.Range(0, CudaDeviceCount()).Select(index => $"cuda:{index} {CudaDriver.DeviceName(index)}".TrimEnd())];
        return string.Create(
            CultureInfo.InvariantCulture,
            $"libtorch {libtorch}, TorchSharp {torchSharp}, {NativeFiles.RuntimeIdentifier}, {threads} {(threads == 1 ? "thread" : "threads")}, {(devices.Length == 0 ? "no CUDA" : string.Join(", ", devices))}");
    }

    private static int CudaDeviceCount() => torch.cuda.is_available() ? torch.cuda.device_count() : 0;

    private static bool HasCudaPart() => NativeLibrary.TryLoad("torch_cuda", typeof(torch).Assembly, searchPath: null, out _);

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
