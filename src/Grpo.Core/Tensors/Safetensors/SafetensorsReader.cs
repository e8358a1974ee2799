using Microsoft.Win32.SafeHandles;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// Reads tensors from one safetensors file, one at a time: nothing but the header is kept in memory, and files and tensors may exceed 2 GB.
/// </summary>
/// <remarks>
/// Opening checks the whole header, so a hostile or damaged file fails there. Several threads may read at once. The file must not change
/// while it is open.
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

    /// <summary>The path that was given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>The tensors by name; enumerates in the order of their data in the file.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries => _header.Entries;

    /// <summary>The strings under <c>__metadata__</c>; empty when there are none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Opens a file and checks its header. The native backend is not needed yet.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is truncated, has bytes that belong to no tensor or to two, a dtype other than F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL, a
    /// shape that does not fit its bytes, a name twice, or a header over 100 MB or of a wrong form. Names the file and the tensors.
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

    /// <summary>Reads one tensor with the dtype and shape it is stored in.</summary>
    /// <param name="name">Its name in <see cref="Entries"/>.</param>
    /// <returns>A contiguous CPU tensor without gradient, owned by the caller's scope.</returns>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
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
    /// Overwrites the elements of an existing tensor, a parameter for instance, without recording a gradient. Any float type is converted
    /// to any other (rounding to nearest even); all other types must be equal. At most 16 MB are held on the side, unless the destination
    /// is not contiguous.
    /// </summary>
    /// <param name="name">Its name in <see cref="Entries"/>.</param>
    /// <param name="destination">Of the same shape; on any device. When reading fails half way, its content is undefined.</param>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
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
