using System.Reflection;
using System.Runtime.InteropServices;
using TorchSharp;

namespace Grpo;

/// <summary>
/// Tries the native libraries before TorchSharp does. TorchSharp's own attempt runs in a static constructor: it fails for good, copies
/// hundreds of megabytes in search of a cure, and blames a missing package whatever the reason.
/// </summary>
internal static class BackendProbe
{
    private static readonly string[] SupportedRuntimes = ["linux-x64", "win-x64", "win-arm64", "osx-arm64"];

    /// <summary>Loads libtorch and the shim, or says why not.</summary>
    /// <exception cref="BackendUnavailableException">What is missing, and what to do.</exception>
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

        if (!NativeLibrary.TryLoad("torch_cpu", torchSharp, searchPath: null, out _))
        {
            throw packaged is null ? NoLibtorch() : Unloadable("libtorch", packaged);
        }

        if (!NativeLibrary.TryLoad(NativeFiles.Shim, torchSharp, searchPath: null, out _))
        {
            throw NativeFiles.FindInApplication(NativeFiles.Shim) is { } shim ? Unloadable("TorchSharp's native library", shim) : NoShim();
        }
    }

    // The runtime prefers the application's copy, and two copies in one process abort it.
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
        NativeResolver.Failure ?? new BackendUnavailableException(
            $"No libtorch was found for {NativeFiles.RuntimeIdentifier}. Reference one backend package in the application's project: "
            + $"libtorch-cpu-{NativeFiles.RuntimeIdentifier} {TorchBackend.LibtorchVersion} for the CPU, TorchSharp-cuda-linux or TorchSharp-cuda-windows for CUDA; "
            + $"or set {ExistingLibtorch.Variable} to the 'lib' folder of an installed PyTorch {TorchBackend.LibtorchVersion}. "
            + $"Searched: {NativeFiles.FileName("torch_cpu")} in '{AppContext.BaseDirectory}' and the system's library path.");

    private static BackendUnavailableException NoShim() =>
        NativeResolver.Failure ?? new BackendUnavailableException(
            $"{NativeFiles.FileName(NativeFiles.Shim)} was not found in '{AppContext.BaseDirectory}'. It belongs to the package TorchSharp: "
            + $"publish the application for {NativeFiles.RuntimeIdentifier}, and copy its whole output folder.");

    private static BackendUnavailableException Unloadable(string what, string path)
    {
        if (NativeResolver.Failure is { } known)
        {
            return known;
        }

        try
        {
            _ = NativeLibrary.Load(path);
        }
        catch (Exception exception) when (exception is DllNotFoundException or BadImageFormatException)
        {
            string hint = OperatingSystem.IsWindows()
                ? "Install the Microsoft Visual C++ Redistributable (2015-2022) and check that the file is complete."
                : "Install the library that it names, and check that the file is complete and made for this system.";
            return new BackendUnavailableException($"{what} is at '{path}' but does not load: {exception.Message} {hint}", exception);
        }

        return new BackendUnavailableException(
            $"{what} at '{path}' loads by its full path but not by its name. Move the application's native libraries beside its executable.");
    }
}
