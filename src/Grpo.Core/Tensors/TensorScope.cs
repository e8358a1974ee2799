using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// A scope that frees every tensor created on this thread since it began, except those given to <see cref="Keep(Tensor)"/>.
/// </summary>
/// <remarks>
/// Use it with <c>using</c>. Scopes nest: a kept tensor belongs to the next outer scope, or to no scope if there is none. It is a ref
/// struct, so the compiler refuses it across <c>await</c> and <c>yield</c>, where torch's own thread-bound scopes leak.
/// </remarks>
public readonly ref struct TensorScope
{
    private readonly DisposeScope _tensors;
    private readonly IDisposable? _gradMode;

    private TensorScope(DisposeScope tensors, IDisposable? gradMode)
    {
        _tensors = tensors;
        _gradMode = gradMode;
    }

    /// <summary>Begins a scope and leaves the recording of gradients as it is.</summary>
    public static TensorScope Begin()
    {
        TorchBackend.EnsureAvailable();
#pragma warning disable RS0030 // the one place that may open torch's own scope
        return new TensorScope(NewDisposeScope(), gradMode: null);
#pragma warning restore RS0030
    }

    /// <summary>Begins a scope in which no gradients are recorded.</summary>
    public static TensorScope BeginNoGrad()
    {
        TorchBackend.EnsureAvailable();
#pragma warning disable RS0030 // the one place that may open torch's own scope and grad mode
        return new TensorScope(NewDisposeScope(), no_grad());
#pragma warning restore RS0030
    }

    /// <summary>Moves a tensor to the next outer scope, so that it outlives this one.</summary>
    /// <param name="tensor">A tensor created inside this scope.</param>
    /// <returns>The tensor that was passed in.</returns>
    public Tensor Keep(Tensor tensor) => _tensors.MoveToOuter(tensor);

    /// <summary>Removes a tensor from all scopes. The caller owns it and must dispose it.</summary>
    /// <param name="tensor">A tensor created inside this scope.</param>
    /// <returns>The tensor that was passed in.</returns>
    public Tensor Release(Tensor tensor) => _tensors.Detach(tensor);

    /// <summary>Frees the scope's tensors and restores the previous recording of gradients.</summary>
    public void Dispose()
    {
        _gradMode?.Dispose();
        _tensors.Dispose();
    }
}
