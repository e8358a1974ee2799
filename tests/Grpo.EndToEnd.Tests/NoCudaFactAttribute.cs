using Grpo.Tensors;
using TorchSharp;

namespace Grpo.EndToEnd.Tests;

/// <summary>A fact about machines without CUDA.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NoCudaFactAttribute : FactAttribute
{
    public NoCudaFactAttribute()
    {
        TorchBackend.EnsureAvailable();
        if (torch.cuda.is_available())
        {
            Skip = "This machine has CUDA.";
        }
    }
}
