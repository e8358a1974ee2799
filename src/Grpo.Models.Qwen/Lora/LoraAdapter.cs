using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>The adapters of a model, made by <see cref="Qwen2ForCausalLM.AddAdapter"/>. The model owns their weights.</summary>
public sealed class LoraAdapter
{
    // Grad mode is the thread's, and so is this: a reference on one thread does not switch the adapter off for a sampler on another.
    [ThreadStatic]
    private static LoraAdapter? t_suspended;

    private readonly (string Name, Projection Projection, LowRankUpdate Update)[] _adapted;
    private Tensor[]? _originals;

    internal LoraAdapter(Qwen2ForCausalLM model, LoraOptions options, LoraBaseModel? baseModel)
    {
        Options = options with { TargetModules = [.. options.TargetModules] };
        BaseModel = baseModel;
        _adapted =
        [
            .. model.named_modules()
                .Where(named => named.module is Projection && options.TargetModules.Contains(named.name[(named.name.LastIndexOf('.') + 1)..]))
                .Select(named => (named.name, (Projection)named.module, new LowRankUpdate(named.name, ((Projection)named.module).Weight, options))),
        ];
        foreach ((_, Projection projection, LowRankUpdate update) in _adapted)
        {
            projection.Attach(update);
        }
    }

    /// <summary>What it was made with.</summary>
    public LoraOptions Options { get; }

    /// <summary>What the base is called, for who loads the adapter later; null: not known.</summary>
    public LoraBaseModel? BaseModel { get; }

    /// <summary>Whether the adapted weights stand in the base's place.</summary>
    public bool IsMerged => _originals is not null;

    /// <summary>Passes with dropout so far: where the random numbers of the next one begin.</summary>
    internal long TrainingPasses { get; set; }

    /// <summary>A and B of every adapted layer, under the names of the model's parameters; owned by the model.</summary>
    public IEnumerable<(string Name, Parameter Parameter)> Parameters()
    {
        foreach ((string name, _, LowRankUpdate update) in _adapted)
        {
            yield return ($"{name}.{DownName}.weight", update.Down.WeightParameter);
            yield return ($"{name}.{UpName}.weight", update.Up.WeightParameter);
        }
    }

    internal const string DownName = "lora_A";
    internal const string UpName = "lora_B";

    internal static bool IsParameter(string name) =>
        name.EndsWith($".{DownName}.weight", StringComparison.Ordinal) || name.EndsWith($".{UpName}.weight", StringComparison.Ordinal);

    /// <summary>W ← W + scale · B·A, computed in float32 and rounded to the type of W.</summary>
    internal void Merge()
    {
        ThrowIfMerged("it cannot be merged again");
        using var scope = TensorScope.BeginNoGrad();
        // W + d − d is not W in floating point, so the originals are kept, in main memory.
        _originals = [.. _adapted.Select(entry => entry.Projection.Weight.detach().to(CPU, copy: true).DetachFromDisposeScope())];
        foreach ((_, Projection projection, LowRankUpdate update) in _adapted)
        {
            using var one = TensorScope.BeginNoGrad();
            projection.Weight.copy_(update.Product().add_(projection.Weight));
        }

        // With nothing to train, an optimizer refuses the policy instead of training adapters that no pass uses.
        SetTrainable(false);
    }

    /// <summary>Puts the base's weights back, bit for bit.</summary>
    internal void Unmerge()
    {
        if (_originals is null)
        {
            throw new InvalidOperationException("The adapter is not merged: there is nothing to undo.");
        }

        using var scope = TensorScope.BeginNoGrad();
        foreach (((_, Projection projection, _), Tensor original) in _adapted.Zip(_originals))
        {
            projection.Weight.copy_(original);
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

    /// <summary>Runs the base alone, on this thread.</summary>
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

    /// <summary>What the pass that begins now does. Every pass with dropout has masks of its own.</summary>
    internal LoraPass NextPass() =>
        IsMerged || t_suspended == this ? new LoraPass(IsOff: true, DropoutKey: null)
        : Options.Dropout > 0 && is_grad_enabled() ? new LoraPass(IsOff: false, CounterRandom.Combine(Options.Seed, (ulong)TrainingPasses++))
        : new LoraPass(IsOff: false, DropoutKey: null);

    private void SetTrainable(bool isTrainable)
    {
        foreach ((_, Parameter parameter) in Parameters())
        {
            parameter.requires_grad_(isTrainable);
        }
    }
}
