using Grpo.Tensors;

namespace Grpo.Optimization;

/// <summary>The update of one piece whose moments are kept elsewhere or otherwise than the arithmetic needs them.</summary>
/// <param name="load">Brings the moments to the tensors of the update.</param>
/// <param name="update">The arithmetic.</param>
/// <param name="store">Takes them back.</param>
internal sealed class StagedUpdate(Action load, IAdamWUpdate update, Action store) : IAdamWUpdate
{
    /// <inheritdoc/>
    public void Apply()
    {
        using var scope = TensorScope.BeginNoGrad();
        load();
        update.Apply();
        store();
    }
}
