using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Grpo.Tensors;

/// <summary>Access to the native libraries below TorchSharp: loads them, parses device names and describes the backend.</summary>
/// <remarks>
/// Grpo contains no libtorch. An application references one backend package (such as <c>libtorch-cpu-linux-x64</c> or
/// <c>TorchSharp-cuda-linux</c>), or names an existing libtorch in the environment variable <c>GRPO_LIBTORCH</c>.
/// </remarks>
public static class TorchBackend
{
    /// <summary>The release of libtorch for which this TorchSharp is built.</summary>
    internal const string LibtorchVersion = "2.10.0";

    private static readonly Lock Gate = new();
    private static volatile bool _available;

    /// <summary>True if CUDA may multiply float32 matrices as TF32. <see cref="UseTensorFloat32"/> switches it on.</summary>
    /// <value>Default false.</value>
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
    /// Lets CUDA multiply float32 matrices as TF32: factors are rounded to 10 bits of mantissa, as in float16, and summed in float32.
    /// Faster on GPUs from Ampere on, without effect elsewhere.
    /// </summary>
    /// <param name="use">True switches TF32 on, false switches it off.</param>
    /// <remarks>
    /// The setting is for the whole process. Call it before the first model is loaded, so that rollouts, updates and the reference model
    /// agree.
    /// </remarks>
    /// <exception cref="BackendUnavailableException">libtorch cannot be loaded.</exception>
    public static void UseTensorFloat32(bool use = true)
    {
        EnsureAvailable();
        torch.backends.cuda.matmul.allow_tf32 = use;
    }

    /// <summary>
    /// Returns the memory of freed tensors to the system from 1 MiB on, instead of from 32 MiB on. Use it on a CPU when the peak memory
    /// does not fit: the peak is at least a tenth lower, and an update takes half as long again.
    /// </summary>
    /// <remarks>
    /// The setting is for the whole process. It works on Linux with glibc, and has no effect elsewhere or if <c>MALLOC_MMAP_THRESHOLD_</c>
    /// is set.
    /// </remarks>
    public static void ReturnFreedMemory()
    {
        const int Block = 1 << 20;
        Install(); // sets the default threshold, which the next line replaces
        NativeEnvironment.ReturnBlocksFrom(Block);
    }

    /// <summary>True if an exception is a failed allocation, in main memory or on a GPU. A smaller batch may then succeed.</summary>
    /// <param name="exception">The exception of a tensor operation, or one that wraps it.</param>
    public static bool IsOutOfMemory(Exception exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        return OutOfMemory.Is(exception);
    }

    /// <summary>Loads the native backend. If that fails, the exception says what this machine lacks and what to do.</summary>
    /// <remarks>
    /// Thread-safe; after the first success a call costs one memory read, and after a failure it may be called again. Every entry point of
    /// Grpo calls it. An application needs it only to fail early, or if it is not written in C# and uses <c>torch</c> before Grpo.
    /// </remarks>
    /// <exception cref="BackendUnavailableException">libtorch or TorchSharp's native part cannot be loaded.</exception>
    public static void EnsureAvailable()
    {
        if (!_available)
        {
            Load();
        }
    }

    /// <summary>Prepares the process for TorchSharp without loading anything. Never throws, and costs nothing when repeated.</summary>
    /// <remarks>
    /// The Grpo.Core package adds a module initializer with this call to every C# project that references it, so that code may use
    /// <c>torch</c> before it uses Grpo. Set the MSBuild property <c>GrpoTorchInitializer</c> to <c>false</c> to leave it out.
    /// </remarks>
    public static void Install() => NativeResolver.Install();

    /// <summary>Parses the name of a device and prepares the device for use.</summary>
    /// <param name="device">The name: <c>cpu</c>, <c>cuda</c> (the first CUDA device) or <c>cuda:N</c>, with N counted from 0.</param>
    /// <returns>The device. A CUDA device always has its index.</returns>
    /// <exception cref="ArgumentException">The name is none of these, or there is no CUDA device with that index.</exception>
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

    /// <summary>Describes the backend in one line for reports and logs.</summary>
    /// <returns>
    /// A line such as <c>libtorch 2.10.0, TorchSharp 0.107.0, linux-x64, 8 threads, no CUDA</c>; with a GPU it ends with
    /// <c>cuda:0 NVIDIA H200</c>.
    /// </returns>
    /// <exception cref="BackendUnavailableException">libtorch cannot be loaded.</exception>
    public static string Describe()
    {
        EnsureAvailable();
        string torchSharp = typeof(torch).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()
            ?.InformationalVersion.Split('+')[0] ?? "of unknown version";
        string libtorch = ExistingLibtorch.FromEnvironment() is { } existing ? existing.Version ?? "of unknown version" : LibtorchVersion;
        int threads = torch.get_num_threads();
        string[] devices =
            [.. Enumerable.Range(0, CudaDeviceCount()).Select(index => $"cuda:{index} {CudaDriver.DeviceName(index)}".TrimEnd())];
        return string.Create(
            CultureInfo.InvariantCulture,
            $"libtorch {libtorch}, TorchSharp {torchSharp}, {NativeFiles.RuntimeIdentifier}, {threads} "
            + $"{(threads == 1 ? "thread" : "threads")}, {(devices.Length == 0 ? "no CUDA" : string.Join(", ", devices))}");
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
