using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>What the CUDA driver knows and TorchSharp does not tell: the names of the devices.</summary>
internal static unsafe class CudaDriver
{
    private const int NameLength = 128;

    /// <summary>The product name of a device, such as "NVIDIA H200"; null where the driver does not say.</summary>
    /// <param name="index">The device, counted as libtorch counts: among those that CUDA_VISIBLE_DEVICES shows.</param>
    public static string? DeviceName(int index)
    {
        // Left loaded: libtorch uses the same driver to the end of the process.
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint driver)
            || !NativeLibrary.TryGetExport(driver, "cuInit", out nint initialize)
            || !NativeLibrary.TryGetExport(driver, "cuDeviceGet", out nint getDevice)
            || !NativeLibrary.TryGetExport(driver, "cuDeviceGetName", out nint getName))
        {
            return null;
        }

        int device;
        byte* name = stackalloc byte[NameLength];
        bool known = ((delegate* unmanaged<uint, int>)initialize)(0) == 0
            && ((delegate* unmanaged<int*, int, int>)getDevice)(&device, index) == 0
            && ((delegate* unmanaged<byte*, int, int, int>)getName)(name, NameLength, device) == 0;
        return known ? Marshal.PtrToStringUTF8((nint)name) : null;
    }
}
