using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// The autograd function of <see cref="TokenLogProbs"/>. It saves log Σ exp(z) of each row and recomputes the logits z in the backward
/// pass.
/// </summary>
internal sealed class TokenLogProbsFunction : SafeFunction<TokenLogProbsFunction>
{
    private const string SettingsKey = "settings";
    private static readonly long[] VocabularyAxis = [1];

    /// <inheritdoc/>
    public override string Name => nameof(TokenLogProbs);

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        (Tensor hidden, Tensor weight, Tensor targets) = ((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2]);
        var settings = (Settings)inputs[3];
        (Tensor results, Tensor logSums) = Forward(hidden, weight, targets, settings);
        context.set_materialize_grads(false);
        // Save a copy of the entropies, since a saved output would keep the function alive.
        context.save_for_backward(
            [hidden, weight, targets, logSums, .. settings.WithEntropies ? [results[1].clone()] : Array.Empty<Tensor>()]);
        context.save_data(SettingsKey, settings);
        return results;
    }

    /// <summary>
    /// Computes log p of the targets, [1, rows], or [2, rows] with the entropies as second row, and log Σ exp(z) of every row, [rows].
    /// Float32, in the caller's scope.
    /// </summary>
    internal static (Tensor Results, Tensor LogSums) Forward(Tensor hidden, Tensor weight, Tensor targets, Settings settings)
    {
        using var scope = TensorScope.BeginNoGrad();
        long rows = hidden.shape[0];
        Tensor results = empty([settings.WithEntropies ? 2 : 1, rows], ScalarType.Float32, hidden.device);
        Tensor logSums = empty([rows], ScalarType.Float32, hidden.device);
        var tiles = new LogitTiles(
            hidden, weight, settings.Temperature, LogitTiles.SizeOf(hidden.shape[0], weight.shape[0], settings.ChunkRows));
        foreach (LogitTiles.Span part in LogitTiles.Span.Over(rows, tiles.Height))
        {
            using var partScope = TensorScope.BeginNoGrad();
            using var sums = new SoftmaxSums(settings.WithEntropies);
            Tensor chosen = zeros([part.Count, 1], ScalarType.Float32, hidden.device);                   // z of the targets
            foreach (LogitTiles.Span tokens in LogitTiles.Span.Over(weight.shape[0], tiles.Width))
            {
                using var tileScope = TensorScope.BeginNoGrad();
                Tensor logits = tiles.Compute(part, tokens).Logits;                                      // [n, w], overwritten below
                TargetIndices.In(tokens, part.Of(targets)).GatherAdd(chosen, logits);
                sums.Add(logits);
            }

            Tensor excess = sums.Excess();                                                               // [n, 1]
            part.Of(logSums).copy_((sums.Largest + excess).squeeze(1));
            // Subtract in this order: the largest logit cancels before the small term is subtracted, as in log_softmax.
            part.Of(results[0]).copy_((chosen - sums.Largest - excess).squeeze(1));
            if (settings.WithEntropies)
            {
                part.Of(results[1]).copy_(sums.Entropy().squeeze(1));
            }
        }

        return (scope.Keep(results), scope.Keep(logSums));
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;                                                               // [1 or 2, rows], freed here
        if (gradient.IsInvalid)
        {
            return [null!, null!, null!, null!];
        }

        using var scope = TensorScope.BeginNoGrad();
        List<Tensor> saved = context.get_saved_variables();
        (Tensor hidden, Tensor weight, Tensor targets, Tensor logSums) = (saved[0], saved[1], saved[2], saved[3]);
        var settings = (Settings)context.get_data(SettingsKey);
        Tensor? hiddenGradient = hidden.requires_grad ? zeros(hidden.shape, ScalarType.Float32, hidden.device) : null;
        Tensor? ownGradient = weight.requires_grad ? LeafGradient.Of(weight) : null;
        Tensor? weightGradient = !weight.requires_grad ? null : ownGradient ?? zeros(weight.shape, ScalarType.Float32, weight.device);
        Tensor scaled = gradient.to(ScalarType.Float32) / settings.Temperature;
        var tiles = new LogitTiles(
            hidden, weight, settings.Temperature, LogitTiles.SizeOf(hidden.shape[0], weight.shape[0], settings.ChunkRows));
        foreach (LogitTiles.Span part in LogitTiles.Span.Over(hidden.shape[0], tiles.Height))
        {
            using var partScope = TensorScope.BeginNoGrad();
            Tensor upstream = part.Of(scaled[0]).unsqueeze(1);                                           // [n, 1]
            foreach (LogitTiles.Span tokens in LogitTiles.Span.Over(weight.shape[0], tiles.Width))
            {
                using var tileScope = TensorScope.BeginNoGrad();
                LogitTile tile = tiles.Compute(part, tokens, withGradients: true);
                Tensor logP = tile.Logits.sub_(part.Of(logSums).unsqueeze(1));
                // d log p[target] / dz = 1[target] − p, and dH / dz = −p·(log p + H). Both start from p.
                Tensor logitGradient;                                                                    // [n, w]
                if (settings.WithEntropies)
                {
                    Tensor entropyUpstream = part.Of(scaled[1]).unsqueeze(1);                            // [n, 1]
                    Tensor p = logP.exp();
                    logitGradient = logP.add_(part.Of(saved[4]).unsqueeze(1)).mul_(entropyUpstream).add_(upstream).mul_(p).neg_();
                }
                else
                {
                    logitGradient = logP.exp_().mul_(-upstream);
                }

                TargetIndices.In(tokens, part.Of(targets)).ScatterAdd(upstream, logitGradient);
                tiles.AddGradients(hiddenGradient, weightGradient, tile, logitGradient);
            }
        }

        hiddenGradient = Keep(hiddenGradient?.to(hidden.dtype), scope);
        weightGradient = ownGradient is null ? Keep(weightGradient?.to(weight.dtype), scope) : null;
        return [hiddenGradient!, weightGradient!, null!, null!];
    }

    private static Tensor? Keep(Tensor? gradient, in TensorScope scope) => gradient is null ? null : scope.Keep(gradient);

    /// <summary>The arguments of <see cref="TokenLogProbs"/> other than tensors.</summary>
    /// <param name="Temperature">The temperature, which divides the logits.</param>
    /// <param name="ChunkRows">The number of rows whose logits may be held at a time.</param>
    /// <param name="WithEntropies">True to compute entropies, which need another buffer of a chunk.</param>
    internal sealed record Settings(double Temperature, int ChunkRows, bool WithEntropies);
}
