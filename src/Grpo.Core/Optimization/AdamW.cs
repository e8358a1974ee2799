using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>AdamW on float32 master weights. Owns its moments.</summary>
/// <remarks>
/// Loshchilov and Hutter, arXiv:1711.05101, with PyTorch's order: decay first, then bias-corrected moments, ε after the square root.
/// TorchSharp's own keys its state by native handle, cannot be resumed bit for bit, and makes temporaries as large as the parameters.
/// </remarks>
internal sealed class AdamW : IDisposable
{
    private readonly (string Name, Parameter Parameter)[] _parameters;
    private readonly Tensor[] _firstMoments;
    private readonly Tensor[] _secondMoments;
    private readonly AdamWOptions _options;

    /// <summary>Creates the optimizer with zero moments.</summary>
    /// <param name="parameters">The parameters to train; float32.</param>
    /// <param name="options">Constants.</param>
    public AdamW(IReadOnlyList<(string Name, Parameter Parameter)> parameters, AdamWOptions options)
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
                    $"Parameter '{name}' is {parameter.dtype} but trained weights must be Float32: Adam's steps are smaller than a 16-bit float can hold.");
            }

            if (!parameter.is_contiguous())
            {
                throw new InvalidOperationException(
                    $"Parameter '{name}' of shape [{string.Join(", ", parameter.shape)}] is a view with gaps or swapped axes; make it of contiguous() values.");
            }
        }

        _firstMoments = ZeroMoments();
        _secondMoments = ZeroMoments();
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
    public void Apply(double learningRate, double gradientScale)
    {
        using var scope = TensorScope.BeginNoGrad();
        var trained = Enumerable.Range(0, _parameters.Length)
            .Select(i => (_parameters[i].Name, _parameters[i].Parameter, Gradient: _parameters[i].Parameter.grad, First: _firstMoments[i], Second: _secondMoments[i]))
            .Where(entry => entry.Gradient is not null);
        // All that needs memory comes before the first weight changes: a lack of it leaves none half updated.
        FusedAdamW[] updates = [.. trained.GroupBy(entry => (_options.IsDecayed(entry.Name, entry.Parameter), entry.Parameter.device.ToString())).Select(alike => FusedAdamW.Prepare(
            [.. alike.Select(entry => new AdamWTensors(entry.Parameter, entry.Gradient!.contiguous(), entry.First, entry.Second))],
            Step + 1, learningRate, alike.Key.Item1 ? _options.WeightDecay : 0, gradientScale, _options))];
        Step++;
        foreach (FusedAdamW update in updates)
        {
            update.Apply();
        }
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
    public void Save(string path)
    {
        var tensors = new List<KeyValuePair<string, Tensor>>();
        for (int i = 0; i < _parameters.Length; i++)
        {
            tensors.Add(new(FirstMoment(_parameters[i].Name), _firstMoments[i]));
            tensors.Add(new(SecondMoment(_parameters[i].Name), _secondMoments[i]));
        }

        SafetensorsWriter.Write(path, tensors);
    }

    /// <summary>Opens what <see cref="Save"/> wrote and checks that it belongs to these parameters, before anything is changed.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">A moment is missing or has another shape.</exception>
    public SafetensorsReader OpenMoments(string path)
    {
        SafetensorsReader reader = SafetensorsReader.Open(path);
        foreach ((string name, Parameter parameter) in _parameters)
        {
            foreach (string moment in new[] { FirstMoment(name), SecondMoment(name) })
            {
                if (!reader.Entries.TryGetValue(moment, out SafetensorsEntry? entry) || !entry.Shape.SequenceEqual(parameter.shape))
                {
                    reader.Dispose();
                    throw new InvalidDataException(
                        $"'{path}' holds no '{moment}' of shape [{string.Join(", ", parameter.shape)}]: it belongs to another model or another choice of trained parameters.");
                }

                if (!SafetensorsDType.IsFloat(entry.DType))
                {
                    reader.Dispose();
                    throw new InvalidDataException($"'{path}': '{moment}' is {entry.DType} but must be of a floating-point type. The file is damaged.");
                }
            }
        }

        return reader;
    }

    /// <summary>Restores the moments.</summary>
    /// <param name="moments">From <see cref="OpenMoments"/>.</param>
    /// <param name="step">Updates applied when it was written.</param>
    public void Load(SafetensorsReader moments, long step)
    {
        for (int i = 0; i < _parameters.Length; i++)
        {
            moments.ReadInto(FirstMoment(_parameters[i].Name), _firstMoments[i]);
            moments.ReadInto(SecondMoment(_parameters[i].Name), _secondMoments[i]);
        }

        Step = step;
    }

    public void Dispose()
    {
        foreach (Tensor moment in _firstMoments.Concat(_secondMoments))
        {
            moment.Dispose();
        }
    }

    // torch.optim's own names of the two.
    private static string FirstMoment(string parameter) => "exp_avg." + parameter;

    private static string SecondMoment(string parameter) => "exp_avg_sq." + parameter;

    private Tensor[] ZeroMoments()
    {
        using var scope = TensorScope.BeginNoGrad();
        var moments = new Tensor[_parameters.Length];
        for (int i = 0; i < moments.Length; i++)
        {
            moments[i] = scope.Release(zeros_like(_parameters[i].Parameter));
        }

        return moments;
    }
}
