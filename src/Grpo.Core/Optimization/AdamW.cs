using Grpo.Planning;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>The AdamW optimizer on float32 weights. It owns its moments.</summary>
/// <remarks>
/// Loshchilov and Hutter, arXiv:1711.05101, in PyTorch's order: weight decay first, then bias-corrected moments, ε after the square root.
/// TorchSharp's own AdamW keys its state by native handle, cannot be resumed bit for bit, and allocates temporaries as large as the
/// parameters.
/// </remarks>
internal sealed class AdamW : IDisposable
{
    private readonly (string Name, Parameter Parameter)[] _parameters;
    private readonly AdamWMoments _moments;
    private readonly AdamWOptions _options;

    /// <summary>Creates the optimizer with zero moments.</summary>
    /// <param name="parameters">The parameters to train, contiguous float32. At least one.</param>
    /// <param name="options">The constants.</param>
    /// <param name="moments">The place and the precision of the moments.</param>
    /// <exception cref="InvalidOperationException">
    /// There is no parameter, one is not contiguous float32, or the moments do not fit into memory.
    /// </exception>
    public AdamW(
        IReadOnlyList<(string Name, Parameter Parameter)> parameters, AdamWOptions options,
        OptimizerMoments moments = OptimizerMoments.Float32)
        : this(parameters, options, checkedParameters => AdamWMoments.Create(moments, checkedParameters))
    {
    }

    /// <summary>Creates the optimizer with moments from a factory.</summary>
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

    /// <summary>The number of updates applied so far.</summary>
    public long Step { get; private set; }

    /// <summary>Computes the L2 norm of the gradient over all parameters.</summary>
    public double GradientNorm()
    {
        using var scope = TensorScope.BeginNoGrad();
        return DeviceTransfer.ToNumber<float>(GradientNormOnDevice());
    }

    /// <summary>Computes the L2 norm of the gradient over all parameters, and leaves it on the device.</summary>
    /// <returns>The norm, a scalar of float32; 0 if no parameter has a gradient. Owned by the caller's scope.</returns>
    public Tensor GradientNormOnDevice()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor[] norms = [.. _parameters.Select(entry => entry.Parameter.grad).OfType<Tensor>().Select(gradient => gradient.norm())];
        return scope.Keep(norms.Length == 0 ? zeros([], ScalarType.Float32, _parameters[0].Parameter.device) : torch.stack(norms).norm());
    }

    /// <summary>Applies one update with the gradients of the parameters.</summary>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="gradientScale">The factor of the gradients, from clipping by norm. Above 0.</param>
    /// <exception cref="TrainingDivergedException">The update was applied and left a weight that is not finite.</exception>
    public void Apply(double learningRate, double gradientScale)
    {
        using var scope = TensorScope.BeginNoGrad();
        var trained = Enumerable.Range(0, _parameters.Length)
            .Select(i => (_parameters[i].Name, _parameters[i].Parameter, Gradient: _parameters[i].Parameter.grad, Index: i))
            .Where(entry => entry.Gradient is not null);
        // All memory is allocated before the first weight changes, so that a failed allocation leaves no weight half updated.
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

    /// <summary>Drops the gradients of all parameters.</summary>
    public void ZeroGradients()
    {
        foreach ((_, Parameter parameter) in _parameters)
        {
            parameter.grad = null;
        }
    }

    /// <summary>Writes the moments to a safetensors file.</summary>
    /// <param name="path">The path of the file.</param>
    public void Save(string path) => SafetensorsWriter.Write(path, _moments.Tensors());

    /// <summary>
    /// Opens a file that <see cref="Save"/> wrote and checks that it belongs to these parameters, before anything is changed.
    /// </summary>
    /// <param name="path">The path of the file.</param>
    /// <returns>The open file, which the caller disposes.</returns>
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

    /// <summary>Restores the moments and converts them if they have another precision.</summary>
    /// <param name="moments">The file that <see cref="OpenMoments"/> returned.</param>
    /// <param name="step">The number of updates applied when the file was written.</param>
    public void Load(SafetensorsReader moments, long step)
    {
        _moments.Load(moments);
        Step = step;
    }

    /// <summary>Frees the moments.</summary>
    public void Dispose() => _moments.Dispose();

    // A sum is not finite if one of its weights is not. So the weights are read once, and one number per parameter goes to the CPU.
    private void RequireFiniteWeights(double learningRate)
    {
        using var scope = TensorScope.BeginNoGrad();
        (string Name, Parameter Parameter)[] updated = [.. _parameters.Where(entry => entry.Parameter.grad is not null)];
        if (updated.Length == 0)
        {
            return;
        }

        float[] sums = DeviceTransfer.ToArray<float>(torch.stack(updated.Select(entry => entry.Parameter.sum())));
        for (int i = 0; i < sums.Length; i++)
        {
            // The sum of finite weights may still exceed the range of float32.
            if (!float.IsFinite(sums[i]) && !DeviceTransfer.ToNumber<bool>(updated[i].Parameter.isfinite().all()))
            {
                throw new TrainingDivergedException(FormattableString.Invariant(
                    $"Update {Step} left NaN or ∞ in the parameter '{updated[i].Name}' (learning rate {learningRate}, AdamEpsilon ")
                    + FormattableString.Invariant($"{_options.Epsilon}): the weights in memory cannot be used any more. ")
                    + "Go back to the last checkpoint, and lower LearningRate or MaxGradientNorm, or raise AdamEpsilon.");
            }
        }
    }
}

/// <summary>The constants of <see cref="AdamW"/>.</summary>
internal sealed record AdamWOptions(double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8, double WeightDecay = 0)
{
    /// <summary>The test if a parameter decays. By default matrices decay, biases and norms do not.</summary>
    public Func<string, Tensor, bool> IsDecayed { get; init; } = (_, parameter) => parameter.dim() >= 2;

    /// <summary>Creates the constants from the options of a GRPO run.</summary>
    public static AdamWOptions From(GrpoOptions options) =>
        new(options.AdamBeta1, options.AdamBeta2, options.AdamEpsilon, options.WeightDecay);
}
