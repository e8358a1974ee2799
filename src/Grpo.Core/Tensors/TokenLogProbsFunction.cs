using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// The differentiable core of <see cref="TokenLogProbs"/>: saves log Σ exp(z) per row and computes the logits z again in backward.
/// </summary>
internal sealed class TokenLogProbsFunction : SafeFunction<TokenLogProbsFunction>
{
    private const string SettingsKey = "settings";
    private static readonly long[] VocabularyAxis = [1];

    // Returned gradients must outlive the callback. On the caller's thread the caller's scope frees them; torch's own device
    // threads have no scope, so there the previous call's are freed by the next.
    [ThreadStatic]
    private static List<Tensor>? t_returned;

    /// <inheritdoc/>
    public override string Name => nameof(TokenLogProbs);

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        (Tensor hidden, Tensor weight, Tensor targets) = ((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2]);
        var settings = (Settings)inputs[3];
        (Tensor results, Tensor logSums) = Forward(hidden, weight, targets, settings);
        context.set_materialize_grads(false);
        // The entropies are saved as a copy: saving an output of the function would keep the function alive with it.
        context.save_for_backward([hidden, weight, targets, logSums, .. settings.WithEntropies ? [results[1].clone()] : Array.Empty<Tensor>()]);
        context.save_data(SettingsKey, settings);
        return results;
    }

    /// <summary>
    /// [1, rows] log p of the targets, or [2, rows] with the entropies behind; and log Σ exp(z) of every row, [rows]. Float32, in the caller's scope.
    /// </summary>
    internal static (Tensor Results, Tensor LogSums) Forward(Tensor hidden, Tensor weight, Tensor targets, Settings settings)
    {
        using var scope = TensorScope.BeginNoGrad();
        long rows = hidden.shape[0];
        Tensor results = empty([settings.WithEntropies ? 2 : 1, rows], ScalarType.Float32, hidden.device);
        Tensor logSums = empty([rows], ScalarType.Float32, hidden.device);
        var chunks = new LogitChunks(hidden, weight, settings);
        for (long start = 0; start < rows; start += settings.ChunkRows)
        {
            using var chunkScope = TensorScope.BeginNoGrad();
            long count = Math.Min(settings.ChunkRows, rows - start);
            Tensor logits = chunks.Compute(start, count);                                            // [n, V], overwritten below
            Tensor chosen = logits.gather(1, targets.narrow(0, start, count).unsqueeze(1));          // [n, 1], a copy
            Tensor largest = logits.amax(VocabularyAxis, keepdim: true);                             // [n, 1]
            Tensor shifted = logits.sub_(largest);
            Tensor weights = settings.WithEntropies ? shifted.exp() : shifted.exp_();                // [n, V]
            Tensor sum = weights.sum(VocabularyAxis, keepdim: true);                                 // [n, 1]
            Tensor excess = sum.log();                                                               // [n, 1]
            logSums.narrow(0, start, count).copy_((largest + excess).squeeze(1));
            // In this order: the largest logit cancels before the small term is added, as in log_softmax.
            results[0].narrow(0, start, count).copy_((chosen - largest - excess).squeeze(1));
            if (settings.WithEntropies)
            {
                // H = log Σ e^x − Σ x·e^x / Σ e^x with x = z − max.
                Tensor mean = weights.mul_(shifted).sum(VocabularyAxis, keepdim: true) / sum;
                results[1].narrow(0, start, count).copy_((excess - mean).squeeze(1));
            }
        }

        return (scope.Keep(results), scope.Keep(logSums));
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;                                                               // [1 or 2, rows], ours to free
        if (gradient.IsInvalid)
        {
            return [null!, null!, null!, null!];
        }

        bool callerHasScope = CurrentDisposeScope is not null;
        using var scope = TensorScope.BeginNoGrad();
        List<Tensor> saved = context.get_saved_variables();
        (Tensor hidden, Tensor weight, Tensor targets, Tensor logSums) = (saved[0], saved[1], saved[2], saved[3]);
        var settings = (Settings)context.get_data(SettingsKey);
        Tensor? hiddenGradient = hidden.requires_grad ? empty_like(hidden) : null;
        Tensor? ownGradient = weight.is_leaf && weight.dtype == ScalarType.Float32 ? weight.grad : null;
        Tensor? weightGradient = !weight.requires_grad ? null : ownGradient ?? zeros(weight.shape, ScalarType.Float32, weight.device);
        Tensor scaled = gradient.to(ScalarType.Float32) / settings.Temperature;
        var chunks = new LogitChunks(hidden, weight, settings);
        for (long start = 0; start < hidden.shape[0]; start += settings.ChunkRows)
        {
            using var chunkScope = TensorScope.BeginNoGrad();
            long count = Math.Min(settings.ChunkRows, hidden.shape[0] - start);
            Tensor upstream = scaled[0].narrow(0, start, count).unsqueeze(1);                        // [n, 1]
            Tensor index = targets.narrow(0, start, count).unsqueeze(1);                             // [n, 1]
            Tensor logP = chunks.Compute(start, count).sub_(logSums.narrow(0, start, count).unsqueeze(1));
            // d log p[target] / dz = 1[target] − p, and dH / dz = −p·(log p + H): both start from p.
            Tensor logitGradient;                                                                    // [n, V]
            if (settings.WithEntropies)
            {
                Tensor entropyUpstream = scaled[1].narrow(0, start, count).unsqueeze(1);             // [n, 1]
                Tensor p = logP.exp();
                logitGradient = logP.add_(saved[4].narrow(0, start, count).unsqueeze(1)).mul_(entropyUpstream).add_(upstream).mul_(p).neg_();
            }
            else
            {
                logitGradient = logP.exp_().mul_(-upstream);
            }

            logitGradient.scatter_add_(1, index, upstream);
            Tensor chunk = hidden.narrow(0, start, count);
            hiddenGradient?.narrow(0, start, count).copy_(logitGradient.to(weight.dtype).mm(weight));
            weightGradient?.addmm_(logitGradient.t(), chunk.to(ScalarType.Float32));
        }

        hiddenGradient = Hand(hiddenGradient, scope);
        weightGradient = ownGradient is null ? Hand(weightGradient?.to(weight.dtype), scope) : null;
        if (!callerHasScope)
        {
            t_returned?.ForEach(static tensor => tensor.Dispose());
            t_returned = [.. new[] { hiddenGradient, weightGradient }.OfType<Tensor>()];
        }

        return [hiddenGradient!, weightGradient!, null!, null!];
    }

    private static Tensor? Hand(Tensor? gradient, in TensorScope scope) => gradient is null ? null : scope.Keep(gradient);

    /// <summary>What <see cref="TokenLogProbs.Compute"/> was called with, tensors aside.</summary>
    /// <param name="Temperature">Divides the logits.</param>
    /// <param name="ChunkRows">Rows at a time.</param>
    /// <param name="WithEntropies">Whether entropies are asked for: they cost another buffer of a chunk.</param>
    internal sealed record Settings(double Temperature, int ChunkRows, bool WithEntropies);

    /// <summary>Logits of consecutive rows, all in one buffer that belongs to the scope in which this was made.</summary>
    private sealed class LogitChunks
    {
        private readonly Tensor _hidden;
        private readonly Tensor _weight;
        private readonly Tensor _transposed;
        private readonly Tensor? _scratch;
        private readonly double _temperature;

        internal LogitChunks(Tensor hidden, Tensor weight, Settings settings)
        {
            _hidden = hidden;
            _weight = weight;
            _transposed = weight.t();
            _temperature = settings.Temperature;
            long rows = Math.Min(settings.ChunkRows, hidden.shape[0]);
            _scratch = hidden.dtype == ScalarType.Float32 ? empty([rows, weight.shape[0]], ScalarType.Float32, hidden.device) : null;
        }

        /// <summary>[count, V] float32; the next call overwrites it.</summary>
        internal Tensor Compute(long start, long count)
        {
            Tensor chunk = _hidden.narrow(0, start, count);
            return _scratch is null
                ? nn.functional.linear(chunk, _weight).to(ScalarType.Float32).div_(_temperature)
                : _scratch.narrow(0, 0, count).addmm_(chunk, _transposed, beta: 0, alpha: (float)(1 / _temperature));
        }
    }
}
