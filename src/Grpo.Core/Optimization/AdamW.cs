using Grpo.Planning;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>AdamW on float32 master weights. Owns its moments, in whatever form (<see cref="OptimizerMoments"/>).</summary>
/// <remarks>
/// Loshchilov and Hutter, arXiv:1711.05101, with PyTorch's order: decay first, then bias-corrected moments, ε after the square root.
/// TorchSharp's own keys its state by native handle, cannot be resumed bit for bit, and makes temporaries as large as the parameters.
/// </remarks>
internal sealed class AdamW : IDisposable
{
    private readonly (string Name, Parameter Parameter)[] _parameters;
    private readonly AdamWMoments _moments;
    private readonly AdamWOptions _options;

    /// <summary>Creates the optimizer with zero moments.</summary>
    /// <param name="parameters">The parameters to train; float32.</param>
    /// <param name="options">Constants.</param>
    /// <param name="moments">Where the moments are kept and in how many bits.</param>
    public AdamW(
        IReadOnlyList<(string Name, Parameter Parameter)> parameters, AdamWOptions options,
        OptimizerMoments moments = OptimizerMoments.Float32)
        : this(parameters, options, checkedParameters => AdamWMoments.Create(moments, checkedParameters))
    {
    }

    /// <summary>The same with moments that somebody else makes.</summary>
    internal AdamW(
        IReadOnlyList<(string Name, Parameter Parameter)> parameters, AdamWOptions options,
        Func<IReadOnlyList<(string Name, Parameter Parameter)>, AdamWMoments> createMoments)
    {
        _parameters = [.. parameters];
        _options = options;
        if (_parameters.Length == 0)
        {
            throw new InvalidOperationException("The policy has no parameter with requires_grad: there is nothing to train.");
        }

        foreach ((string name, Parameter parameter) in _parameters)
        {
            if (parameter.dtype != ScalarType.Float32)
            {
                throw new InvalidOperationException(
                    $"Parameter '{name}' is {parameter.dtype} but trained weights must be Float32: "
                    + "Adam's steps are smaller than a 16-bit float can hold.");
            }

            if (!parameter.is_contiguous())
            {
                throw new InvalidOperationException(
                    $"Parameter '{name}' of shape [{string.Join(", ", parameter.shape)}] is a view with gaps or swapped axes; "
                    + "make it of contiguous() values.");
            }
        }

        _moments = createMoments(_parameters);
    }

    /// <summary>Updates applied so far.</summary>
    public long Step { get; private set; }

    /// <summary>Length of the gradient over all parameters, L2.</summary>
    public double GradientNorm()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor[] norms = [.. _parameters.Select(entry => entry.Parameter.grad).OfType<Tensor>().Select(gradient => gradient.norm())];
        return norms.Length == 0 ? 0 : torch.stack(norms).norm().item<float>();
    }

    /// <summary>Applies one update with the gradients that the parameters hold.</summary>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="gradientScale">Multiplies the gradients: the factor of clipping by norm. Above 0.</param>
    /// <exception cref="TrainingDivergedException">The update was applied and left a weight that is not finite.</exception>
    public void Apply(double learningRate, double gradientScale)
    {
        using var scope = TensorScope.BeginNoGrad();
        var trained = Enumerable.Range(0, _parameters.Length)
            .Select(i => (_parameters[i].Name, _parameters[i].Parameter, Gradient: _parameters[i].Parameter.grad, Index: i))
            .Where(entry => entry.Gradient is not null);
        // All that needs memory comes before the first weight changes: a lack of it leaves none half updated.
        IAdamWUpdate[] updates = [.. trained.GroupBy(entry =>
            (_options.IsDecayed(entry.Name, entry.Parameter), entry.Parameter.device.ToString())).SelectMany(alike => _moments.Prepare(
                [.. alike.Select(entry => new AdamWEntry(entry.Index, entry.Parameter, entry.Gradient!.contiguous()))],
                Step + 1,
                tensors => FusedAdamW.Prepare(
                    tensors, Step + 1, learningRate, alike.Key.Item1 ? _options.WeightDecay : 0, gradientScale, _options)))];
        Step++;
        foreach (IAdamWUpdate update in updates)
        {
            update.Apply();
        }

        RequireFiniteWeights(learningRate);
    }

    /// <summary>Drops the gradients.</summary>
    public void ZeroGradients()
    {
        foreach ((_, Parameter parameter) in _parameters)
        {
            parameter.grad = null;
        }
    }

    /// <summary>Writes the moments.</summary>
    /// <param name="path">A safetensors file.</param>
    public void Save(string path) => SafetensorsWriter.Write(path, _moments.Tensors());

    /// <summary>Opens what <see cref="Save"/> wrote and checks that it belongs to these parameters, before anything is changed.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">A moment is missing, or has another shape or type.</exception>
    public SafetensorsReader OpenMoments(string path)
    {
        SafetensorsReader reader = SafetensorsReader.Open(path);
        try
        {
            _moments.Check(reader);
            return reader;
        }
        catch
        {
            reader.Dispose();
            throw;
        }
    }

    /// <summary>Restores the moments, converted where they were kept otherwise.</summary>
    /// <param name="moments">From <see cref="OpenMoments"/>.</param>
    /// <param name="step">Updates applied when it was written.</param>
    public void Load(SafetensorsReader moments, long step)
    {
        _moments.Load(moments);
        Step = step;
    }

    public void Dispose() => _moments.Dispose();

    // The sum is not finite if a weight is not: one read of the weights, and one number of each to the CPU.
    private void RequireFiniteWeights(double learningRate)
    {
        using var scope = TensorScope.BeginNoGrad();
        (string Name, Parameter Parameter)[] updated = [.. _parameters.Where(entry => entry.Parameter.grad is not null)];
        if (updated.Length == 0)
        {
            return;
        }

        float[] sums = [.. torch.stack(updated.Select(entry => entry.Parameter.sum())).cpu().data<float>()];
        for (int i = 0; i < sums.Length; i++)
        {
            // Finite weights may add up to more than float32 holds.
            if (!float.IsFinite(sums[i]) && !updated[i].Parameter.isfinite().all().item<bool>())
            {
                throw new TrainingDivergedException(FormattableString.Invariant(
                    $"Update {Step} left NaN or ∞ in the parameter '{updated[i].Name}' (learning rate {learningRate}, AdamEpsilon ")
                    + FormattableString.Invariant($"{_options.Epsilon}): the weights in memory cannot be used any more. ")
                    + "Go back to the last checkpoint, and lower LearningRate or MaxGradientNorm, or raise AdamEpsilon.");
            }
        }
    }
}
