using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Copies tensors and numbers between the CPU and the model's device. All transfers of the library are made here.</summary>
/// <remarks>
/// A copy to the CPU waits until the device has finished all queued work. Meanwhile nothing new is queued, so each wait costs more than its
/// bytes. Therefore pack the numbers of a step into one tensor and copy them once. A copy to the device does not wait.
/// </remarks>
public static class DeviceTransfer
{
    // Asynchronous locals, because an update runs on a thread of its own. They are read only while somebody watches.
    private static readonly AsyncLocal<TransferCount?> CurrentCount = new();
    private static readonly AsyncLocal<bool> CpuIsDevice = new();
    private static int s_watchers;

    /// <summary>
    /// True if a tensor is not in main memory. Code that reads tensors in place or calls CPU kernels asks this first.
    /// </summary>
    /// <param name="tensor">The tensor. Borrowed.</param>
    public static bool IsOnDevice(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return tensor.device_type != DeviceType.CPU || TreatsCpuAsDevice;
    }

    /// <summary>Copies a tensor to a device.</summary>
    /// <param name="source">The tensor, on the CPU or on another device. Borrowed.</param>
    /// <param name="device">The target device.</param>
    /// <returns>
    /// The copy, or another handle of the tensor if it is already there. Temporaries and result belong to the caller's scope.
    /// </returns>
    /// <remarks>
    /// A copy from ordinary memory to a GPU waits until the GPU's queue is empty. A copy from page-locked memory is queued and the caller
    /// continues; libtorch keeps that memory until the copy is done.
    /// </remarks>
    public static Tensor ToDevice(Tensor source, Device device)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(device);
        if (device.type == DeviceType.CPU && source.device_type != DeviceType.CPU)
        {
            return ToCpu(source);
        }

        Counted?.AddUpload();
        return device.type == DeviceType.CUDA && source.device_type == DeviceType.CPU
            ? source.pin_memory().to(device, non_blocking: true)
            : source.to(device);
    }

    /// <summary>Copies an array to a device.</summary>
    /// <param name="values">The numbers, in row-major order.</param>
    /// <param name="device">The target device.</param>
    /// <param name="shape">The shape of the tensor. Without sizes it is that of the array.</param>
    /// <returns>The tensor. Temporaries and result belong to the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shape has another number of elements than the array.</exception>
    public static Tensor ToDevice(long[] values, Device device, params ReadOnlySpan<long> shape)
    {
        ArgumentNullException.ThrowIfNull(values);
        return ToDevice(tensor(values, ShapeOf(values, shape), device: CPU), device);
    }

    /// <inheritdoc cref="ToDevice(long[], Device, ReadOnlySpan{long})"/>
    public static Tensor ToDevice(float[] values, Device device, params ReadOnlySpan<long> shape)
    {
        ArgumentNullException.ThrowIfNull(values);
        return ToDevice(tensor(values, ShapeOf(values, shape), device: CPU), device);
    }

    /// <inheritdoc cref="ToDevice(long[], Device, ReadOnlySpan{long})"/>
    public static Tensor ToDevice(double[] values, Device device, params ReadOnlySpan<long> shape)
    {
        ArgumentNullException.ThrowIfNull(values);
        return ToDevice(tensor(values, ShapeOf(values, shape), device: CPU), device);
    }

    /// <summary>Copies a tensor to the CPU. Waits for the device.</summary>
    /// <param name="values">The tensor. Borrowed.</param>
    /// <returns>The copy, or another handle of the tensor if it is on the CPU. Owned by the caller's scope.</returns>
    public static Tensor ToCpu(Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        Counted?.AddWait();
        return values.cpu();
    }

    /// <summary>Copies the numbers of a tensor to an array, in row-major order. Waits for the device.</summary>
    /// <typeparam name="T">The managed type of the numbers, such as float for float32.</typeparam>
    /// <param name="values">The tensor. Borrowed.</param>
    /// <exception cref="ArgumentException">The numbers have another size than <typeparamref name="T"/>.</exception>
    public static T[] ToArray<T>(Tensor values)
        where T : unmanaged
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor onCpu = ToCpu(values).contiguous();
        return onCpu.element_size() == Unsafe.SizeOf<T>()
            ? MemoryMarshal.Cast<byte, T>(Bytes(onCpu)).ToArray()
            : throw new ArgumentException($"The tensor is {onCpu.dtype}, which cannot be read as {typeof(T).Name}.", nameof(values));
    }

    /// <summary>Reads the number of a tensor with one element. Waits for the device.</summary>
    /// <typeparam name="T">The managed type of the number, such as float for float32.</typeparam>
    /// <param name="scalar">The tensor. Borrowed.</param>
    public static T ToNumber<T>(Tensor scalar)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(scalar);
        Counted?.AddWait();
        return scalar.item<T>();
    }

    /// <summary>Copies values into a tensor, which may be on another device and of another type.</summary>
    /// <param name="source">The values. Borrowed.</param>
    /// <param name="destination">The tensor to write, of the same shape.</param>
    /// <remarks>Waits for the device only if the destination is on the CPU and the source is not.</remarks>
    public static void Copy(Tensor source, Tensor destination)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(destination);
        if (Counted is { } count && (source.device_type != destination.device_type || TreatsCpuAsDevice))
        {
            if (destination.device_type == DeviceType.CPU && source.device_type != DeviceType.CPU)
            {
                count.AddWait();
            }
            else
            {
                count.AddUpload();
            }
        }

        using var scope = TensorScope.BeginNoGrad(); // copy_ returns a second handle
        destination.copy_(source);
    }

    /// <summary>Returns the memory of a tensor on the CPU, without a copy. It is valid while the tensor lives.</summary>
    /// <param name="onCpu">The tensor, contiguous and on the CPU, of less than 2³¹ bytes. Borrowed.</param>
    /// <exception cref="ArgumentException">The tensor is on another device.</exception>
    public static Span<byte> Bytes(Tensor onCpu)
    {
        ArgumentNullException.ThrowIfNull(onCpu);
        if (onCpu.device_type != DeviceType.CPU)
        {
            throw new ArgumentException($"The tensor is on {onCpu.device}; only memory of the CPU can be read. Use ToCpu.", nameof(onCpu));
        }

        return onCpu.numel() == 0 ? [] : onCpu.bytes;
    }

    /// <summary>
    /// Counts the transfers of this thread, and of work that it starts, until the result is disposed. Counts do not nest.
    /// </summary>
    /// <remarks>Functions that torch runs on its own threads, as in a backward pass on a GPU, are not counted.</remarks>
    internal static TransferCount Count()
    {
        Interlocked.Increment(ref s_watchers);
        return CurrentCount.Value = new TransferCount(static () =>
        {
            CurrentCount.Value = null;
            Interlocked.Decrement(ref s_watchers);
        });
    }

    /// <summary>
    /// Lets this thread, and work that it starts, take the path of a GPU with tensors on the CPU, until the result is disposed. Meant for
    /// tests.
    /// </summary>
    internal static IDisposable TreatCpuAsDevice()
    {
        Interlocked.Increment(ref s_watchers);
        CpuIsDevice.Value = true;
        return new CpuAsDevice();
    }

    private static TransferCount? Counted => Volatile.Read(ref s_watchers) == 0 ? null : CurrentCount.Value;

    private static bool TreatsCpuAsDevice => Volatile.Read(ref s_watchers) != 0 && CpuIsDevice.Value;

    private static ReadOnlySpan<long> ShapeOf(Array values, ReadOnlySpan<long> shape)
    {
        if (shape.IsEmpty)
        {
            return new long[] { values.Length };
        }

        long elements = 1;
        foreach (long size in shape)
        {
            elements *= size;
        }

        return elements == values.Length
            ? shape
            : throw new ArgumentException(
                $"The shape [{string.Join(", ", shape.ToArray())}] has {elements} elements but the array {values.Length}.", nameof(shape));
    }

    private sealed class CpuAsDevice : IDisposable
    {
        public void Dispose()
        {
            CpuIsDevice.Value = false;
            Interlocked.Decrement(ref s_watchers);
        }
    }
}

/// <summary>The number of transfers between the CPU and the device, counted by <see cref="DeviceTransfer"/>.</summary>
/// <remarks>On a CPU nothing waits and little is copied. The counts are then those that a GPU would have on the same path.</remarks>
/// <param name="stop">Ends the count.</param>
internal sealed class TransferCount(Action stop) : IDisposable
{
    /// <summary>The number of copies to the CPU, each of which waits for the device.</summary>
    public int Waits { get; private set; }

    /// <summary>The number of copies to the device, which do not wait.</summary>
    public int Uploads { get; private set; }

    /// <summary>Adds a copy to the CPU.</summary>
    public void AddWait() => Waits++;

    /// <summary>Adds a copy to the device.</summary>
    public void AddUpload() => Uploads++;

    /// <summary>Ends the count.</summary>
    public void Dispose() => stop();
}
