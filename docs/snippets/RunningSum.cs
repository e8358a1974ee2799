using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>A class that owns a tensor: taken out of every scope, freed in Dispose.</summary>
public sealed class RunningSum : IDisposable
{
    private readonly Tensor _sum;                                                // [N], owned

    public RunningSum(long size)
    {
        using var scope = TensorScope.BeginNoGrad();
        _sum = scope.Release(zeros(size));
    }

    public void Add(Tensor values)                                               // [N], borrowed
    {
        TensorGuard.Require(values, nameof(values), "[N]", _sum.shape);
        using var scope = TensorScope.BeginNoGrad();
        _sum.add_(values);
    }

    public Tensor ToTensor()                                                     // [N], the caller's
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(_sum.clone());
    }

    public void Dispose() => _sum.Dispose();
}
