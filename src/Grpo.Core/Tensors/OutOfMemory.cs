using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Tells a failed allocation from other errors: less work at a time may get round it, and nothing else is wrong.</summary>
internal static class OutOfMemory
{
    // libtorch's own words, in this order: main memory on Linux and macOS, on Windows, CUDA's caching allocator, the driver below it,
    // cuBLAS and cuDNN for their workspaces, and the C++ runtime.
    private static readonly string[] Messages =
    [
        "DefaultCPUAllocator: can't allocate memory",
        "DefaultCPUAllocator: not enough memory",
        "CUDA out of memory",
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ];

    /// <summary>Whether the exception, or one that it wraps, is a failed allocation, native or managed.</summary>
    /// <param name="exception">As caught.</param>
    public static bool Is(Exception exception)
    {
        for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is OutOfMemoryException
                || (cause is ExternalException && Messages.Any(message => cause.Message.Contains(message, StringComparison.Ordinal))))
            {
                return true;
            }
        }

        return false;
    }
}
