using System.Runtime.InteropServices;

namespace Grpo.Tensors;

/// <summary>Distinguishes failed allocations from other errors. A smaller batch may succeed, since nothing else is wrong.</summary>
internal static class OutOfMemory
{
    // libtorch's messages, in this order: main memory on Linux and macOS, main memory on Windows, CUDA's caching allocator, the CUDA
    // driver, the workspaces of cuBLAS and cuDNN, and the C++ runtime.
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

    /// <summary>True if the exception, or one that it wraps, is a failed native or managed allocation.</summary>
    /// <param name="exception">The caught exception.</param>
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
