using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// The autograd function of <see cref="TokenLogProbs"/> for a loss whose gradient is known. It runs the backward pass of the output layer
/// during the forward pass, while it holds the logits of a row, so that no logit is computed twice.
/// </summary>
/// <remarks>Liger Kernel does this for the cross entropy, arXiv:2410.10989.</remarks>
internal sealed class FusedLogProbsFunction : SafeFunction<FusedLogProbsFunction>
{
    // Relative to the largest gradient. Both gradients come from the same operations on the same numbers.
    private const double Tolerance = 1e-5;

    /// <inheritdoc/>
    public override string Name => nameof(TokenLogProbs);

    /// <summary>Returns true if the gradient of a weight can be accumulated before the backward pass.</summary>
    internal static bool Supports(Tensor weight) => !weight.requires_grad || LeafGradient.IsFor(weight);

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor hidden, Tensor weight, Tensor targets) = ((Tensor)inputs[0], (Tensor)inputs[1], (Tensor)inputs[2]);
        var settings = (Settings)inputs[3];
        long rows = hidden.shape[0];
        Tensor logProbs = zeros([rows], ScalarType.Float32, hidden.device);
        Tensor expected = zeros([rows], ScalarType.Float32, hidden.device);
        Tensor? hiddenGradient = hidden.requires_grad ? zeros(hidden.shape, ScalarType.Float32, hidden.device) : null;
        Tensor? weightGradient = weight.requires_grad ? LeafGradient.Of(weight) : null;
        var tiles = new LogitTiles(
            hidden, weight, settings.Temperature, LogitTiles.KeptSizeOf(rows, weight.shape[0], settings.HeldLogits), areKept: true);
        foreach (LogitTiles.Span part in LogitTiles.Span.Over(rows, tiles.Height))
        {
            using var partScope = TensorScope.BeginNoGrad();
            using var sums = new SoftmaxSums(withEntropies: false);
            Tensor chosen = zeros([part.Count, 1], ScalarType.Float32, hidden.device);                   // z of the targets
            var kept = new List<(LogitTile Tile, Tensor Largest)>();
            foreach (LogitTiles.Span tokens in LogitTiles.Span.Over(weight.shape[0], tiles.Width))
            {
                LogitTile tile = tiles.Compute(part, tokens, withGradients: true);
                TargetIndices.In(tokens, part.Of(targets)).GatherAdd(chosen, tile.Logits);
                sums.Add(tile.Logits);                                                                   // e^(z − largest) from here on
                kept.Add((tile, sums.Largest.clone()));
            }

            Tensor excess = sums.Excess();                                                               // [n, 1]
            part.Of(logProbs).copy_((chosen - sums.Largest - excess).squeeze(1));
            Tensor gradient = settings.LossGradient(logProbs);
            TensorGuard.Require(gradient, "the result of lossGradient", "[rows]", rows);
            part.Of(expected).copy_(part.Of(gradient));
            Tensor upstream = part.Of(expected).unsqueeze(1) / settings.Temperature;                     // [n, 1]
            foreach ((LogitTile tile, Tensor largest) in kept)
            {
                // d log p[target] / dz = 1[target] − p
                Tensor logitGradient = tile.Logits.mul_((largest - sums.Largest - excess).exp_().mul_(-upstream));
                TargetIndices.In(tile.Tokens, part.Of(targets)).ScatterAdd(upstream, logitGradient);
                tiles.AddGradients(hiddenGradient, weightGradient, tile, logitGradient);
            }
        }

        context.set_materialize_grads(false);
        // Keep the saved tensors: Torch takes them after the callback has ended.
        context.save_for_backward(
            [scope.Keep(expected), .. hiddenGradient is null ? Array.Empty<Tensor>() : [scope.Keep(hiddenGradient.to(hidden.dtype))]]);
        return scope.Keep(logProbs);
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;                                                                   // [rows]
        using var scope = TensorScope.BeginNoGrad();
        List<Tensor> saved = context.get_saved_variables();
        Tensor expected = saved[0];
        if (expected.numel() > 0)
        {
            Tensor difference = gradient.IsInvalid ? expected : gradient - expected;
            CheckLater(context, torch.stack([difference.abs().max(), expected.abs().max()]), RequireEqual);
        }

        return [saved.Count > 1 ? scope.Keep(saved[1].alias()) : null!, null!, null!, null!];
    }

    // The largest difference of a gradient and the largest gradient.
    private static void RequireEqual(float[] numbers)
    {
        (float difference, float largest) = (numbers[0], numbers[1]);
        if (!(difference <= Tolerance * largest))
        {
            throw new InvalidOperationException(FormattableString.Invariant(
                $"The gradient of the log-probs differs by {difference} from the one that lossGradient gave, of at most {largest}: ")
                + "what the output layer has received is wrong, so drop all gradients. "
                + "A loss whose tokens depend on each other, as with PolicyObjective.IsPerToken false, cannot be told "
                + "beforehand; leave lossGradient out.");
        }
    }

    /// <summary>The arguments of <see cref="TokenLogProbs"/> other than tensors.</summary>
    /// <param name="Temperature">The temperature, which divides the logits.</param>
    /// <param name="LossGradient">The function that returns dL/d log p, [rows], for given log p.</param>
    /// <param name="HeldLogits">The largest number of logits to hold at a time.</param>
    internal sealed record Settings(double Temperature, Func<Tensor, Tensor> LossGradient, long HeldLogits);
}
