using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Asks the CUDA driver for the names of the devices, which TorchSharp does not offer.</summary>
internal static unsafe class CudaDriver
{
    private const int NameLength = 128;

    /// <summary>Returns the product name of a device, such as "NVIDIA H200"; null if the driver does not name it.</summary>
    /// <param name="index">The index of the device among those that CUDA_VISIBLE_DEVICES shows, as libtorch counts.</param>
    public static string? DeviceName(int index)
    {
        // The driver stays loaded, since libtorch uses it until the process ends.
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
