using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// Frees every tensor made on this thread since it began, except those given to <see cref="Keep(Tensor)"/>.
/// A ref struct: the compiler refuses it across <c>await</c> and <c>yield</c>, where torch's own thread-bound scopes leak.
/// </summary>
/// <remarks>Use with <c>using</c>. Scopes nest; a kept tensor belongs to the next outer scope, or to nobody when there is none.</remarks>
public readonly ref struct TensorScope
{
    private readonly DisposeScope _tensors;
    private readonly IDisposable? _gradMode;

    private TensorScope(DisposeScope tensors, IDisposable? gradMode)
    {
        _tensors = tensors;
        _gradMode = gradMode;
    }

    /// <summary>Begins a scope; gradients are recorded or not as before.</summary>
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

    /// <summary>Moves a tensor to the caller's scope: it survives this one.</summary>
    /// <param name="tensor">A tensor made inside this scope.</param>
    /// <returns>The same tensor.</returns>
    public Tensor Keep(Tensor tensor) => _tensors.MoveToOuter(tensor);

    /// <summary>Takes a tensor out of every scope: the caller owns it and must dispose it.</summary>
    /// <param name="tensor">A tensor made inside this scope.</param>
    /// <returns>The same tensor.</returns>
    public Tensor Release(Tensor tensor) => _tensors.Detach(tensor);

    /// <summary>Frees the scope's tensors and restores the grad mode.</summary>
    public void Dispose()
    {
        _gradMode?.Dispose();
        _tensors.Dispose();
    }
}
