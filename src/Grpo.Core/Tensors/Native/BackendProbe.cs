using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Grpo.Tensors;

/// <summary>
/// Loads the native libraries before TorchSharp does. TorchSharp loads them in a static constructor, which fails permanently, copies
/// hundreds of megabytes in search of a remedy, and always blames a missing package.
/// </summary>
internal static class BackendProbe
{
    private static readonly string[] SupportedRuntimes = ["linux-x64", "win-x64", "win-arm64", "osx-arm64"];

    /// <summary>Loads libtorch and TorchSharp's shim.</summary>
    /// <exception cref="BackendUnavailableException">A library is missing or does not load; the message says what to do.</exception>
    public static void RequireLoadable()
    {
        if (!SupportedRuntimes.Contains(NativeFiles.RuntimeIdentifier))
        {
            throw new BackendUnavailableException(
                $"TorchSharp has no native library for {NativeFiles.RuntimeIdentifier} ({RuntimeInformation.OSDescription}). "
                + $"Run on one of {string.Join(", ", SupportedRuntimes)}; on a mixed machine, with the .NET runtime of that architecture.");
        }

        NativeResolver.Failure = null;
        Assembly torchSharp = typeof(torch).Assembly;
        string? packaged = NativeFiles.FindInApplication("torch_cpu");
        if (ExistingLibtorch.FromEnvironment() is { } existing)
        {
            RequireOneLibtorch(existing, packaged);
        }

        RequireWhole(packaged);
        if (!NativeLibrary.TryLoad("torch_cpu", torchSharp, searchPath: null, out _))
        {
            throw NativeResolver.Failure ?? (packaged is null ? NoLibtorch() : Unloadable(packaged));
        }

        string? shim = NativeFiles.FindInApplication(NativeFiles.Shim);
        RequireWhole(shim);
        if (!NativeLibrary.TryLoad(NativeFiles.Shim, torchSharp, searchPath: null, out _))
        {
            throw NativeResolver.Failure ?? (shim is null ? NoShim() : Unloadable(shim));
        }
    }

    private static void RequireWhole(string? path)
    {
        if (path is not null && NativeLoad.FindTruncation(path) is { } reason)
        {
            throw new BackendUnavailableException($"'{path}' does not load: {reason}");
        }
    }

    // The runtime prefers the application's copy of libtorch, and two copies in one process abort it.
    private static void RequireOneLibtorch(ExistingLibtorch existing, string? packaged)
    {
        if (packaged is not null && Path.GetDirectoryName(packaged) != existing.Folder)
        {
            throw new BackendUnavailableException(
                $"{ExistingLibtorch.Variable} is '{existing.Folder}', but the application carries its own libtorch at '{packaged}'. "
                + $"Build it without a libtorch package (in this repository: -p:TorchBackend=none), or unset {ExistingLibtorch.Variable}.");
        }
    }

    private static BackendUnavailableException NoLibtorch() =>
        new(
            $"No libtorch was found for {NativeFiles.RuntimeIdentifier}. Reference one backend package in the application's project: "
            + $"libtorch-cpu-{NativeFiles.RuntimeIdentifier} {TorchBackend.LibtorchVersion} for the CPU, TorchSharp-cuda-linux or "
            + $"TorchSharp-cuda-windows for CUDA; or set {ExistingLibtorch.Variable} to the 'lib' folder of an installed PyTorch "
            + $"{TorchBackend.LibtorchVersion}. Searched: {NativeFiles.FileName("torch_cpu")} in "
            + $"'{AppContext.BaseDirectory}' and the system's library path.");

    private static BackendUnavailableException NoShim() =>
        new(
            $"{NativeFiles.FileName(NativeFiles.Shim)} was not found in '{AppContext.BaseDirectory}'. It belongs to the package "
            + $"TorchSharp: publish the application for {NativeFiles.RuntimeIdentifier}, and copy its whole output folder.");

    private static BackendUnavailableException Unloadable(string path)
    {
        if (NativeLoad.TryLoad(path, out string? reason) != 0)
        {
            return new BackendUnavailableException(
                $"'{path}' loads by its full path but not by its name. Move the application's native libraries beside its executable.");
        }

        string advice = OperatingSystem.IsWindows()
            ? "Install the Microsoft Visual C++ Redistributable, and check that the file is made for this system."
            : "Install what is missing, and check that the file is made for this system.";
        return new BackendUnavailableException($"'{path}' does not load: {reason} {advice}");
    }
}
