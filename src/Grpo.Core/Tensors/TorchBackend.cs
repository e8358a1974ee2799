namespace Grpo;

/// <summary>Makes the native libraries of TorchSharp available.</summary>
public static class TorchBackend
{
    /// <summary>Loads the native backend, or explains what is missing.</summary>
    public static void EnsureAvailable()
    {
    }
}
