using System.Globalization;

namespace Grpo.Tensors;

/// <summary>Parses the device names of options and command lines: "cpu", "cuda", "cuda:1".</summary>
internal static class DeviceName
{
    private const string Cuda = "cuda";

    /// <summary>Parses a name without checking that the device exists.</summary>
    /// <returns>The index of the CUDA device, 0 for "cuda" alone; null for the CPU.</returns>
    /// <exception cref="ArgumentException">The name is none of these.</exception>
    public static int? ParseCudaIndex(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (name == "cpu")
        {
            return null;
        }

        if (name == Cuda)
        {
            return 0;
        }

        if (name.StartsWith(Cuda + ":", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(Cuda.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int index))
        {
            return index;
        }

        throw new ArgumentException($"The device is '{name}' but must be cpu, cuda, or cuda:N with N counted from 0.", nameof(name));
    }

    /// <summary>Requires that a CUDA device exists.</summary>
    /// <param name="name">The name as the user wrote it.</param>
    /// <param name="index">The index of the device.</param>
    /// <param name="count">The number of CUDA devices that libtorch sees.</param>
    /// <param name="cudaBuild">True if the libtorch of the process has a CUDA part.</param>
    /// <exception cref="BackendUnavailableException">There is no CUDA device.</exception>
    /// <exception cref="ArgumentException">There are CUDA devices, but none with this index.</exception>
    public static void RequireCuda(string name, int index, int count, bool cudaBuild)
    {
        if (count == 0)
        {
            string backend = OperatingSystem.IsWindows() ? "cuda-windows" : "cuda-linux";
            throw new BackendUnavailableException(cudaBuild
                ? $"Device '{name}' was asked for, but libtorch finds no usable CUDA device. Check with nvidia-smi that the driver runs "
                    + "and that CUDA_VISIBLE_DEVICES does not hide the GPU, or use device 'cpu'."
                : $"Device '{name}' was asked for, but the application's libtorch is built for the CPU only. Reference "
                    + $"TorchSharp-{backend} instead (in this repository: -p:TorchBackend={backend}), or set {ExistingLibtorch.Variable} "
                    + "to the 'lib' folder of a PyTorch with CUDA, or use device 'cpu'.");
        }

        if (index >= count)
        {
            string available = count == 1
                ? "there is one CUDA device, cuda:0"
                : $"there are {count} CUDA devices, cuda:0 to cuda:{count - 1}";
            throw new ArgumentException($"Device '{name}' was asked for, but {available}.", nameof(name));
        }
    }
}
