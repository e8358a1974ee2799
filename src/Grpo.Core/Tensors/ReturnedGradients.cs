using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// The gradients that a function written in C# has returned to torch. Torch takes hold of them only after the callback has ended, so they cannot
/// belong to one of its scopes; until a scope of the caller ends there would be those of all layers.
/// </summary>
internal static class ReturnedGradients
{
    [ThreadStatic]
    private static IReadOnlyList<Tensor?>? t_last;

    /// <summary>Takes over what a callback of this thread returns, and frees what the one before it did: torch has that by now.</summary>
    internal static void Hold(IReadOnlyList<Tensor?> gradients)
    {
        foreach (Tensor? gradient in gradients)
        {
            gradient?.DetachFromDisposeScope();
        }

        Free();
        t_last = gradients;
    }

    /// <summary>Frees what the last callback of this thread returned. Not from within a callback.</summary>
    internal static void Free()
    {
        foreach (Tensor? gradient in t_last ?? [])
        {
            gradient?.Dispose();
        }

        t_last = null;
    }
}
