using Grpo.Tensors;

namespace Grpo.Models.Qwen.Pretrained;

/// <summary>Explains failed allocations: libtorch reports only how many bytes it asked for.</summary>
internal static class AllocationErrors
{
    /// <summary>Runs an allocation and replaces an out-of-memory error by an explanation.</summary>
    /// <param name="allocate">The allocation.</param>
    /// <param name="otherwise">The explanation: what did not fit and what to do.</param>
    /// <exception cref="InvalidOperationException">An allocation failed.</exception>
    internal static T Explain<T>(Func<T> allocate, string otherwise)
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
