using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Lora;

/// <summary>The LoRA adapter of a model, created by <see cref="CausalLM.AddAdapter"/>. The model owns its weights.</summary>
public sealed class LoraAdapter
{
    // Per thread, like torch's grad mode: a reference on one thread must not switch the adapter off for a sampler on another.
    [ThreadStatic]
    private static LoraAdapter? t_suspended;

    private readonly (string Name, IAdaptable Layer, LowRankUpdate Update)[] _adapted;
    private Tensor[]? _originals;

    /// <param name="layers">All layers of the model that can be adapted, with their names; the options choose among them.</param>
    /// <param name="options">The options. They are valid.</param>
    /// <param name="baseModel">The name of the base; null if it is not known.</param>
    internal LoraAdapter(IEnumerable<(string Name, IAdaptable Layer)> layers, LoraOptions options, LoraBaseModel? baseModel)
    {
        Options = options with { TargetModules = [.. options.TargetModules] };
        BaseModel = baseModel;
        _adapted =
        [
            .. layers
                .Where(named => options.TargetModules.Contains(named.Name[(named.Name.LastIndexOf('.') + 1)..]))
                .Select(named => (named.Name, named.Layer, new LowRankUpdate(named.Name, named.Layer.Shape, options))),
        ];
        foreach ((_, IAdaptable layer, LowRankUpdate update) in _adapted)
        {
            layer.Attach(update);
        }
    }

    /// <summary>The options that the adapter was created with.</summary>
    public LoraOptions Options { get; }

    /// <summary>The name of the base model, which a later load of the adapter needs; null if it is not known.</summary>
    public LoraBaseModel? BaseModel { get; }

    /// <summary>True if the adapter has been added to the weights of the base, so that passes do not compute it separately.</summary>
    public bool IsMerged => _originals is not null;

    /// <summary>The number of passes with dropout so far. It selects the random numbers of the next pass.</summary>
    internal long TrainingPasses { get; set; }

    /// <summary>Returns A and B of every adapted layer with the names of the model's parameters. The model owns them.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters()
    {
        foreach ((string name, _, LowRankUpdate update) in _adapted)
        {
            yield return ($"{name}.{DownName}.weight", update.Down.WeightParameter);
            yield return ($"{name}.{UpName}.weight", update.Up.WeightParameter);
        }
    }

    /// <summary>
    /// Returns true if the update of some layer, ‖ΔW‖ in the Frobenius norm, is at least a fraction of ‖W‖ / √min(in, out).
    /// </summary>
    internal bool HasMoved(double fraction)
    {
        foreach ((_, IAdaptable layer, LowRankUpdate update) in _adapted)
        {
            double gain = layer.WeightNorm() / Math.Sqrt(Math.Min(layer.Shape.Inputs, layer.Shape.Outputs));
            if (update.Norm() is > 0 and var norm && norm >= fraction * gain)
            {
                return true;
            }
        }

        return false;
    }

    internal const string DownName = "lora_A";
    internal const string UpName = "lora_B";

    internal static bool IsParameter(string name) =>
        name.EndsWith($".{DownName}.weight", StringComparison.Ordinal) || name.EndsWith($".{UpName}.weight", StringComparison.Ordinal);

    /// <summary>Adds the adapter to the weights: W ← W + scale · B·A, computed in float32 and rounded to the type of W.</summary>
    internal void Merge()
    {
        ThrowIfMerged("it cannot be merged again");
        if (Array.Exists(_adapted, entry => !entry.Layer.CanMerge))
        {
            throw new InvalidOperationException(
                "The base has 4 bits per weight, which cannot hold the sum of weight and adapter. Merge a copy of "
                + $"{nameof(QwenPolicy)}.{nameof(QwenPolicy.Dequantize)}, which computes the same, or load the adapter without "
                + "FourBitBase.");
        }

        using var scope = TensorScope.BeginNoGrad();
        // W + d − d differs from W in floating point. So the originals are kept, in main memory.
        _originals = [.. _adapted.Select(entry => CopyToCpu(entry.Layer.Weight))];
        foreach ((_, IAdaptable layer, LowRankUpdate update) in _adapted)
        {
            using var one = TensorScope.BeginNoGrad();
            layer.Weight.copy_(update.Product().add_(layer.Weight));
        }

        // An optimizer refuses a policy without trainable parameters. Otherwise it would train adapters that no pass uses.
        SetTrainable(false);
    }

    // No scope owns the copy.
    private static Tensor CopyToCpu(Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor copy = empty(weight.shape, weight.dtype, CPU);
        DeviceTransfer.Copy(weight.detach(), copy);
        return scope.Release(copy);
    }

    /// <summary>Restores the weights of the base, bit for bit.</summary>
    internal void Unmerge()
    {
        if (_originals is null)
        {
            throw new InvalidOperationException("The adapter is not merged: there is nothing to undo.");
        }

        using var scope = TensorScope.BeginNoGrad();
        foreach (((_, IAdaptable layer, _), Tensor original) in _adapted.Zip(_originals))
        {
            DeviceTransfer.Copy(original, layer.Weight);
        }

        FreeOriginals();
        SetTrainable(true);
    }

    internal void ThrowIfMerged(string consequence)
    {
        if (IsMerged)
        {
            throw new InvalidOperationException($"The adapter is merged into the weights, so {consequence}. Call UnmergeAdapter first.");
        }
    }

    internal void FreeOriginals()
    {
        foreach (Tensor original in _originals ?? [])
        {
            original.Dispose();
        }

        _originals = null;
    }

    /// <summary>Runs a computation on this thread with the adapter off.</summary>
    internal Tensor Without(Func<Tensor> compute)
    {
        ThrowIfMerged("the base cannot be run without it");
        LoraAdapter? previous = t_suspended;
        t_suspended = this;
        try
        {
            return compute();
        }
        finally
        {
            t_suspended = previous;
        }
    }

    /// <summary>Returns what the adapter does in the pass that begins now. Every pass with dropout has its own masks.</summary>
    internal LoraPass NextPass() =>
        IsMerged || t_suspended == this ? new LoraPass(IsOff: true, DropoutKey: null)
        : Options.Dropout > 0 && is_grad_enabled()
        ? new LoraPass(IsOff: false, CounterRandom.Combine(Options.Seed, (ulong)TrainingPasses++))
        : new LoraPass(IsOff: false, DropoutKey: null);

    private void SetTrainable(bool isTrainable)
    {
        foreach ((_, Parameter parameter) in Parameters())
        {
            parameter.requires_grad_(isTrainable);
        }
    }
}

/// <summary>The base model of an adapter, as named in its <c>adapter_config.json</c>.</summary>
/// <param name="Name">A folder or a hub id (<c>base_model_name_or_path</c>).</param>
/// <param name="Revision">The branch, tag or commit of a hub id; null means the default branch.</param>
public sealed record LoraBaseModel(string Name, string? Revision = null);

/// <summary>
/// The state of the adapter during one forward pass. It travels with the pass, so that a recomputed layer computes the same again.
/// </summary>
/// <param name="IsOff">True if only the base is run.</param>
/// <param name="DropoutKey">The key of the dropout masks; null means no dropout.</param>
internal sealed record LoraPass(bool IsOff, ulong? DropoutKey);
