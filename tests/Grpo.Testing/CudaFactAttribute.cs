using Grpo.Tensors;
using TorchSharp;
using Xunit;

namespace Grpo.Testing;

/// <summary>A fact about CUDA, and says so where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class CudaFactAttribute : FactAttribute
{
    public CudaFactAttribute()
    {
        TorchBackend.EnsureAvailable();
        if (!torch.cuda.is_available())
        {
            Skip = "This machine has no CUDA device.";
        }
    }
}
