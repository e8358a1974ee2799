using System.Globalization;

namespace Grpo.Tensors;

/// <summary>The names of devices that options and command lines use: "cpu", "cuda", "cuda:1".</summary>
internal static class DeviceName
{
    private const string Cuda = "cuda";

    /// <summary>Reads a name without asking whether the device exists.</summary>
    /// <returns>The index of the CUDA device, 0 for plain "cuda"; null for the CPU.</returns>
    /// <exception cref="ArgumentException">Not one of the names.</exception>
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
    /// <param name="name">As the user wrote it.</param>
    /// <param name="index">Its index.</param>
    /// <param name="count">How many devices libtorch sees.</param>
    /// <param name="cudaBuild">Whether the libtorch in the process has a CUDA part.</param>
    /// <exception cref="BackendUnavailableException">There is none at all.</exception>
    /// <exception cref="ArgumentException">There are some, but not this one.</exception>
    public static void RequireCuda(string name, int index, int count, bool cudaBuild)
    {
        if (count == 0)
        {
            string backend = OperatingSystem.IsWindows() ? "cuda-windows" : "cuda-linux";
            throw new BackendUnavailableException(cudaBuild
                ? $"Device '{name}' was asked for, but libtorch finds no usable CUDA device. Check with nvidia-smi that the driver runs and that "
                    + "CUDA_VISIBLE_DEVICES does not hide the GPU, or use device 'cpu'."
                : $"Device '{name}' was asked for, but the application's libtorch is built for the CPU only. Reference TorchSharp-{backend} instead "
                    + $"(in this repository: -p:TorchBackend={backend}), or set {ExistingLibtorch.Variable} to the 'lib' folder of a PyTorch with CUDA, or use device 'cpu'.");
        }

        if (index >= count)
        {
            string available = count == 1 ? "there is one CUDA device, cuda:0" : $"there are {count} CUDA devices, cuda:0 to cuda:{count - 1}";
            throw new ArgumentException($"Device '{name}' was asked for, but {available}.", nameof(name));
        }
    }
}
