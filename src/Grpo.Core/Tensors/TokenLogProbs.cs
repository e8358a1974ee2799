using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// log softmax(hidden · Wᵀ / temperature) of one token a row, without the [rows, V] logits: a few hundred rows at a time share one
/// scratch buffer, and the backward pass computes them again.
/// </summary>
/// <remarks>
/// Exact, not an approximation: differs from log_softmax and gather only by rounding. Costs one more matrix product than keeping
/// the logits; holds chunkRows · V floats instead of several times rows · V.
/// </remarks>
public static class TokenLogProbs
{
    /// <summary>log p of the target tokens.</summary>
    /// <param name="hidden">[rows, H], floating point; leave out the rows of padding. Borrowed.</param>
    /// <param name="weight">The output layer, [V, H], same type and device. Borrowed.</param>
    /// <param name="targets">[rows] int64, each from 0 to V − 1. Borrowed.</param>
    /// <param name="temperature">Divides the logits; above 0 and finite.</param>
    /// <param name="chunkRows">Rows computed at a time; at least 1.</param>
    /// <returns>[rows] float32, nats, differentiable once in hidden and weight. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape, type, device, the temperature or the chunk is wrong.</exception>
    /// <remarks>
    /// In <c>backward()</c> a float32 leaf weight that already has a gradient receives its share in place, chunk by chunk, which saves
    /// another [V, H]. Use <c>backward()</c>, not <c>autograd.grad</c>, where such a weight is among the inputs.
    /// </remarks>
    public static Tensor Compute(Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = 256)
    {
        // Everything is checked here: an exception inside the backward callback would end the process.
        TensorGuard.Require(hidden, nameof(hidden), "[rows, H]", -1, -1);
        TensorGuard.Require(weight, nameof(weight), "[V, H]", -1, hidden.shape[1]);
        TensorGuard.Require(targets, nameof(targets), "[rows]", hidden.shape[0]);
        if (!hidden.is_floating_point() || weight.dtype != hidden.dtype)
        {
            throw new ArgumentException(
                $"hidden and weight must share a floating-point type but are {hidden.dtype} and {weight.dtype}.", nameof(weight));
        }

        if (targets.dtype != ScalarType.Int64)
        {
            throw new ArgumentException($"targets must be Int64 but is {targets.dtype}.", nameof(targets));
        }

        string[] devices = [hidden.device.ToString(), weight.device.ToString(), targets.device.ToString()];
        if (devices.Distinct(StringComparer.Ordinal).Count() != 1)
        {
            throw new ArgumentException(
                $"hidden, weight and targets must be on one device but are on {string.Join(", ", devices)}.", nameof(hidden));
        }

        if (!(temperature > 0 && double.IsFinite(temperature)))
        {
            throw new ArgumentOutOfRangeException(
                nameof(temperature), temperature, "The temperature must be above 0 and finite; 0 (greedy) has no log-probs to train.");
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(chunkRows, 1);
        using var scope = TensorScope.Begin();
        var settings = new TokenLogProbsFunction.Settings(temperature, chunkRows);
        Tensor logProbs = is_grad_enabled() && (hidden.requires_grad || weight.requires_grad)
            ? TokenLogProbsFunction.apply(hidden, weight, targets, settings)
            : TokenLogProbsFunction.Forward(hidden, weight, targets, settings).LogProbs;
        return scope.Keep(logProbs);
    }
}
