using System.Text.RegularExpressions;

namespace Grpo.Tensors;

/// <summary>A libtorch that is already on the machine and named by GRPO_LIBTORCH: the lib folder of a PyTorch or of a libtorch.</summary>
internal sealed partial class ExistingLibtorch
{
    /// <summary>The name of the environment variable.</summary>
    public const string Variable = "GRPO_LIBTORCH";

    // In the order of their dependencies. Only CUDA builds have the two CUDA libraries.
    private static readonly string[] Order = ["c10", "c10_cuda", "torch_cpu", "torch_cuda", "torch"];
    private static readonly string[] Required = ["c10", "torch_cpu", "torch"];

    private ExistingLibtorch(string folder, string? version)
    {
        Folder = folder;
        Version = version;
    }

    /// <summary>The full path of the folder.</summary>
    public string Folder { get; }

    /// <summary>The release that the folder states, such as 2.10.0+cu128; null if it states none.</summary>
    public string? Version { get; }

    /// <summary>Opens the folder that the environment variable names; null if it is not set.</summary>
    /// <exception cref="BackendUnavailableException">
    /// The folder or one of its libraries is missing, or it is of another release.
    /// </exception>
    public static ExistingLibtorch? FromEnvironment() =>
        Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } folder ? Open(folder) : null;

    /// <summary>Opens a folder and checks its libraries and release.</summary>
    /// <inheritdoc cref="FromEnvironment"/>
    public static ExistingLibtorch Open(string folder)
    {
        string path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));
        if (!Directory.Exists(path))
        {
            throw new BackendUnavailableException(
                $"{Variable} is '{folder}', which is not a folder. Set it to the folder that holds {NativeFiles.FileName("torch_cpu")}: "
                + "the 'lib' folder of a Python PyTorch (…/site-packages/torch/lib) or of a libtorch download.");
        }

        string[] missing = [.. Required.Select(NativeFiles.FileName).Where(file => !File.Exists(Path.Combine(path, file)))];
        if (missing.Length > 0)
        {
            string below = Path.Combine(path, "lib");
            string hint = File.Exists(Path.Combine(below, NativeFiles.FileName("torch_cpu")))
                ? $"They are in '{below}': set {Variable} to that."
                : $"Set it to the folder that holds {NativeFiles.FileName("torch_cpu")}, for {NativeFiles.RuntimeIdentifier}.";
            throw new BackendUnavailableException(
                $"{Variable} is '{folder}', where {string.Join(", ", missing)} {(missing.Length == 1 ? "is" : "are")} missing. {hint}");
        }

        return new ExistingLibtorch(path, RequireRelease(path));
    }

    /// <summary>Loads a library of the folder after its dependencies.</summary>
    /// <param name="library">The name of the library without prefix and extension, such as torch_cpu.</param>
    /// <returns>The handle of the library, or 0 if the folder does not have it.</returns>
    /// <exception cref="BackendUnavailableException">The system's loader refuses a library.</exception>
    public nint Load(string library)
    {
        if (!File.Exists(PathOf(library)))
        {
            return 0;
        }

        // Load all of libtorch at once: its parts find each other by name only, and libtorch_cuda registers itself while it loads.
        foreach (string name in Order.Where(name => File.Exists(PathOf(name))))
        {
            LoadFile(PathOf(name));
        }

        return LoadFile(PathOf(library));
    }

    private string PathOf(string library) => Path.Combine(Folder, NativeFiles.FileName(library));

    private nint LoadFile(string path) =>
        NativeLoad.TryLoad(path, out string? reason) is not 0 and nint handle
            ? handle
            : throw new BackendUnavailableException($"{Variable} is '{Folder}', but '{path}' does not load: {reason}");

    // TorchSharp binds to C++ symbols, which differ between releases. A wrong release would crash instead of failing to load.
    private static string? RequireRelease(string folder)
    {
        string parent = Path.GetDirectoryName(folder) ?? folder;
        string? file = new[] { Path.Combine(parent, "version.py"), Path.Combine(parent, "build-version") }.FirstOrDefault(File.Exists);
        Match version = file is null ? Match.Empty : Release().Match(ReadStart(file));
        if (!version.Success)
        {
            return null;
        }

        string wanted = TorchBackend.LibtorchVersion[..TorchBackend.LibtorchVersion.LastIndexOf('.')];
        return version.Groups[1].Value == wanted
            ? version.Value
            : throw new BackendUnavailableException(
                $"{Variable} is '{folder}', which holds libtorch {version.Value}, but this TorchSharp needs {wanted}. "
                + $"Install PyTorch {wanted} there, or set {Variable} to one.");
    }

    private static string ReadStart(string file)
    {
        using var reader = new StreamReader(file);
        char[] buffer = new char[1024];
        return new string(buffer, 0, reader.ReadBlock(buffer));
    }

    [GeneratedRegex(@"([0-9]{1,4}\.[0-9]{1,4})\.[0-9]{1,4}(?:\+[a-z0-9.]{1,16})?", RegexOptions.NonBacktracking)]
    private static partial Regex Release();
}
