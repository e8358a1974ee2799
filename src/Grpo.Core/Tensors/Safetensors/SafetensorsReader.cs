using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Reads single tensors from a safetensors file. Only the header stays in memory; files and tensors may exceed 2 GB.</summary>
/// <remarks>
/// <see cref="Open"/> checks the whole header, so a hostile or damaged file fails there. Several threads may read at once. The file must
/// not change while it is open.
/// </remarks>
public sealed class SafetensorsReader : IDisposable
{
    private readonly SafeFileHandle _file;
    private readonly SafetensorsHeader _header;

    private SafetensorsReader(string path, SafeFileHandle file, SafetensorsHeader header)
    {
        Path = path;
        _file = file;
        _header = header;
    }

    /// <summary>The path of the file, as passed to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>The entries of the tensors by name, enumerated in the order of their data in the file.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The strings under <c>__metadata__</c>; empty if there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Opens a file and checks its header. Does not need the native backend.</summary>
    /// <param name="path">The path of the file.</param>
    /// <returns>The open file, which the caller must dispose.</returns>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is truncated, has bytes that belong to no tensor or to two, a dtype other than F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL, a
    /// shape that does not match its bytes, a repeated name, or a header that is over 100 MB or malformed. The message names the file and
    /// the tensors.
    /// </exception>
    public static SafetensorsReader Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
        {
            throw new FileNotFoundException(
                $"'{path}' is a folder, not a safetensors file. Open it with {nameof(SafetensorsCheckpoint)}.", path);
        }

        SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete);
        try
        {
            return new SafetensorsReader(path, file, SafetensorsHeader.Read(file, path));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Reads a tensor with its stored dtype and shape.</summary>
    /// <param name="name">The name of the tensor in <see cref="Entries"/>.</param>
    /// <returns>A contiguous CPU tensor without gradient, owned by the caller's scope.</returns>
    /// <exception cref="KeyNotFoundException">There is no tensor of that name.</exception>
    /// <exception cref="InvalidDataException">A BOOL tensor holds a byte other than 0 and 1.</exception>
    public Tensor Read(string name)
    {
        SafetensorsEntry entry = Find(name);
        using var scope = TensorScope.BeginNoGrad();
        Tensor tensor = empty([.. entry.Shape], entry.DType, CPU);
        SafetensorsTransfer.Read(_file, Path, entry, _header.DataStart + entry.Begin, tensor);
        return scope.Keep(tensor);
    }

    /// <summary>
    /// Reads a tensor into an existing one, such as a parameter, without recording a gradient. Any float type is converted to any other by
    /// rounding to nearest even; other types must be equal.
    /// </summary>
    /// <param name="name">The name of the tensor in <see cref="Entries"/>.</param>
    /// <param name="destination">
    /// The tensor to overwrite, of the same shape, on any device. If reading fails, its content is undefined.
    /// </param>
    /// <remarks>Needs at most 16 MiB of further memory, unless the destination is not contiguous.</remarks>
    /// <exception cref="KeyNotFoundException">There is no tensor of that name.</exception>
    /// <exception cref="ArgumentException">
    /// The shape differs, the dtype cannot be converted, or the destination has no memory (meta device).
    /// </exception>
    /// <exception cref="InvalidDataException">A BOOL tensor holds a byte other than 0 and 1.</exception>
    public void ReadInto(string name, Tensor destination)
    {
        SafetensorsEntry entry = Find(name);
        ArgumentNullException.ThrowIfNull(destination);
        if (!entry.Shape.SequenceEqual(destination.shape))
        {
            throw new ArgumentException(
                $"Tensor {SafetensorsProblems.Quote(name)} of '{Path}' is {SafetensorsProblems.Shape(entry.Shape)} but the destination is "
                + $"{SafetensorsProblems.Shape(destination.shape)}. The shapes must be equal.",
                nameof(destination));
        }

        if (entry.DType != destination.dtype && !(SafetensorsDType.IsFloat(entry.DType) && SafetensorsDType.IsFloat(destination.dtype)))
        {
            throw new ArgumentException(
                $"Tensor {SafetensorsProblems.Quote(name)} of '{Path}' is {entry.DType} but the destination is {destination.dtype}. "
                + "Only float types are converted; give a destination of the stored type.",
                nameof(destination));
        }

        if (destination.device_type == DeviceType.META)
        {
            throw new ArgumentException(
                "The destination is on the meta device and has no memory. Create it on the CPU or a GPU.", nameof(destination));
        }

        SafetensorsTransfer.Read(_file, Path, entry, _header.DataStart + entry.Begin, destination);
    }

    /// <summary>Closes the file. Tensors that were read stay valid.</summary>
    public void Dispose() => _file.Dispose();

    private SafetensorsEntry Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Entries.TryGetValue(name, out SafetensorsEntry? entry)
            ? entry
            : throw new KeyNotFoundException($"'{Path}' has no tensor {SafetensorsProblems.Quote(name)}; it has {Entries.Count} others.");
    }
}
