using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// The weights in a model folder: the file <c>model.safetensors</c>, or if that is missing, the files that
/// <c>model.safetensors.index.json</c> names.
/// </summary>
/// <remarks>
/// The index decides: a tensor that it does not list, or that it lists in another file, is not part of the checkpoint. Several threads may
/// read at once.
/// </remarks>
public sealed class SafetensorsCheckpoint : IDisposable
{
    private const string SingleFile = "model.safetensors";
    private const string IndexFile = "model.safetensors.index.json";

    private readonly string _directory;
    private readonly IReadOnlyList<SafetensorsReader> _files;
    private readonly Dictionary<string, SafetensorsReader> _fileOf;

    private SafetensorsCheckpoint(string directory, IReadOnlyList<SafetensorsReader> files, Dictionary<string, SafetensorsReader> fileOf)
    {
        _directory = directory;
        _files = files;
        _fileOf = fileOf;
        Entries = files
            .SelectMany(file => file.Entries.Values.Where(entry => fileOf.GetValueOrDefault(entry.Name) == file))
            .ToDictionary(entry => entry.Name, StringComparer.Ordinal)
            .AsReadOnly();
        Metadata = files
            .SelectMany(file => file.Metadata)
            .DistinctBy(pair => pair.Key)
            .ToDictionary(StringComparer.Ordinal)
            .AsReadOnly();
    }

    /// <summary>
    /// The entries of the tensors by name, enumerated file by file in the order of the data. <see cref="SafetensorsEntry.Begin"/> counts
    /// within the tensor's own file.
    /// </summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    /// <summary>The strings under <c>__metadata__</c> of all files. If two files differ, the first by file name counts.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens every file of a checkpoint and checks all headers. Does not need the native backend.</summary>
    /// <param name="directory">The path of the model folder.</param>
    /// <returns>The open checkpoint, which the caller must dispose.</returns>
    /// <exception cref="FileNotFoundException">The folder is missing, or has neither of the two files. The message names both.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged or hostile, or the index names a file that is missing, is outside the folder, or lacks a tensor. The message lists
    /// all problems.
    /// </exception>
    public static SafetensorsCheckpoint Open(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        if (!Directory.Exists(directory))
        {
            throw new FileNotFoundException($"No weights in '{directory}': the folder does not exist.", directory);
        }

        string single = Path.Combine(directory, SingleFile);
        if (File.Exists(single))
        {
            SafetensorsReader file = SafetensorsReader.Open(single);
            var all = file.Entries.Keys.ToDictionary(name => name, _ => file, StringComparer.Ordinal);
            return new SafetensorsCheckpoint(directory, [file], all);
        }

        string index = Path.Combine(directory, IndexFile);
        return File.Exists(index)
            ? OpenShards(directory, index)
            : throw new FileNotFoundException(
                $"No weights in '{directory}': expected {SingleFile} or {IndexFile}. Other formats, such "
                + "as pytorch_model.bin, are not read.",
                single);
    }

    /// <inheritdoc cref="SafetensorsReader.Read"/>
    public Tensor Read(string name) => FileOf(name).Read(name);

    /// <inheritdoc cref="SafetensorsReader.ReadInto"/>
    public void ReadInto(string name, Tensor destination) => FileOf(name).ReadInto(name, destination);

    /// <summary>Closes the files. Tensors that were read stay valid.</summary>
    public void Dispose() => Close(_files);

    private static SafetensorsCheckpoint OpenShards(string directory, string index)
    {
        Dictionary<string, string> fileNames = SafetensorsIndex.Read(index);
        var problems = new SafetensorsProblems($"The checkpoint of '{index}' cannot be read");
        var opened = new SortedDictionary<string, SafetensorsReader>(StringComparer.Ordinal);
        try
        {
            foreach (string name in fileNames.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
            {
                OpenShard(directory, name, opened, problems);
            }

            var fileOf = new Dictionary<string, SafetensorsReader>(fileNames.Count, StringComparer.Ordinal);
            foreach ((string tensor, string name) in fileNames)
            {
                // A file that could not be opened is reported once, not for each of its tensors.
                if (opened.TryGetValue(name, out SafetensorsReader? file))
                {
                    fileOf.Add(tensor, file);
                    if (!file.Entries.ContainsKey(tensor))
                    {
                        problems.Add($"tensor {SafetensorsProblems.Quote(tensor)} is not in '{name}', where the index says it is");
                    }
                }
            }

            problems.ThrowIfAny();
            return new SafetensorsCheckpoint(directory, [.. opened.Values], fileOf);
        }
        catch
        {
            Close(opened.Values);
            throw;
        }
    }

    private static void OpenShard(
        string directory, string name, SortedDictionary<string, SafetensorsReader> opened, SafetensorsProblems problems)
    {
        string path = Path.Combine(directory, name);
        if (!File.Exists(path))
        {
            problems.Add($"the file {SafetensorsProblems.Quote(name)} is missing");
            return;
        }

        try
        {
            opened.Add(name, SafetensorsReader.Open(path));
        }
        catch (InvalidDataException exception)
        {
            problems.Add(exception.Message.TrimEnd('.'));
        }
    }

    private static void Close(IEnumerable<SafetensorsReader> files)
    {
        foreach (SafetensorsReader file in files)
        {
            file.Dispose();
        }
    }

    private SafetensorsReader FileOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _fileOf.TryGetValue(name, out SafetensorsReader? file)
            ? file
            : throw new KeyNotFoundException(
                $"The checkpoint in '{_directory}' has no tensor {SafetensorsProblems.Quote(name)}; it has {Entries.Count} others.");
    }
}
