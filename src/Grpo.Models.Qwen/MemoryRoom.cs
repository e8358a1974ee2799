using Grpo.Tensors;

namespace Grpo.Models.Qwen;

/// <summary>Says what did not fit into memory where libtorch only tells how many bytes it asked for.</summary>
internal static class MemoryRoom
{
    /// <summary>Does what allocates.</summary>
    /// <param name="allocate">The work.</param>
    /// <param name="otherwise">What did not fit and what to do, in sentences.</param>
    /// <exception cref="InvalidOperationException">An allocation failed.</exception>
    internal static T For<T>(Func<T> allocate, string otherwise)
    {
        try
        {
            return allocate();
        }
        catch (Exception exception) when (TorchBackend.IsOutOfMemory(exception))
        {
            throw new InvalidOperationException(otherwise, exception);
        }
    }
}
