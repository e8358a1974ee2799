using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// Computes the log-probability of one target token per row, log softmax(hidden · Wᵀ / temperature), without holding the [rows, V] logits.
/// The logits are computed tile by tile, and again in the backward pass.
/// </summary>
/// <remarks>
/// The result is exact: it differs from log_softmax and gather only by rounding. It costs one more matrix product than keeping the logits,
/// but holds only a few tiles instead of several times rows · V floats.
/// </remarks>
public static class TokenLogProbs
{
    private const int DefaultChunkRows = 256;
    private const long DefaultHeldLogits = 1 << 25;    // 128 MiB: enough rows for fast products at V = 152 thousand

    /// <summary>Computes the log-probabilities of the target tokens.</summary>
    /// <param name="hidden">The hidden states, [rows, H], floating point, without rows of padding. Borrowed.</param>
    /// <param name="weight">
    /// The weight of the output layer, [V, H], on the same device and of the type of <paramref name="hidden"/>. It may be float32 if
    /// <paramref name="hidden"/> has 16 bits: products then use 16-bit rounded weights, and the weight's gradient is summed in float32.
    /// Borrowed.
    /// </param>
    /// <param name="targets">The target tokens, [rows] int64, each from 0 to V − 1. Borrowed.</param>
    /// <param name="temperature">The temperature, which divides the logits. Above 0 and finite.</param>
    /// <param name="chunkRows">The size of a tile: at most the logits of this many rows over 28,672 tokens. At least 1.</param>
    /// <returns>
    /// The log-probabilities in nats, [rows] float32, differentiable once in hidden and weight. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape, type or device is wrong, or the temperature or the chunk is out of range.</exception>
    /// <remarks>
    /// In <c>backward()</c> a float32 leaf weight receives its gradient in place, tile by tile, which saves another [V, H] (see
    /// <see cref="LeafGradient"/>). If such a weight is among the inputs, use <c>backward()</c>, not <c>autograd.grad</c>.
    /// </remarks>
    public static Tensor Compute(Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = DefaultChunkRows)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(
            Run(hidden, weight, targets, new TokenLogProbsFunction.Settings(temperature, chunkRows, WithEntropies: false)).select(0, 0));
    }

    /// <summary>
    /// Computes the log-probabilities of the target tokens for a loss whose gradient is known. The gradients of hidden and weight are
    /// computed together with the logits, which takes about a fifth less time at the output layer.
    /// </summary>
    /// <param name="hidden">The hidden states, [rows, H], floating point, without rows of padding. Borrowed.</param>
    /// <param name="weight">
    /// The weight of the output layer, [V, H], on the same device and of the type of <paramref name="hidden"/>, or float32 if that has 16
    /// bits. If it is trained but is no float32 leaf, nothing is fused and its gradient is computed in the backward pass. Borrowed.
    /// </param>
    /// <param name="targets">The target tokens, [rows] int64, each from 0 to V − 1. Borrowed.</param>
    /// <param name="temperature">The temperature, which divides the logits. Above 0 and finite.</param>
    /// <param name="lossGradient">
    /// The function that returns dL/d log p for given log p, both [rows] float32. Each element depends only on the log p of its own row. It
    /// is called once for each part of the rows, without recording gradients. The log p of later rows are still 0 then, and their gradients
    /// are not read.
    /// </param>
    /// <param name="heldLogits">The largest number of logits to hold at a time. One row is always held.</param>
    /// <returns>
    /// The log-probabilities in nats, [rows] float32, for exactly one <c>backward()</c> with the gradient of
    /// <paramref name="lossGradient"/>. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape, type or device is wrong, or a number is out of range.</exception>
    /// <remarks>
    /// The gradient of a trained weight is already accumulated when this returns. If no backward pass follows, drop all gradients. Drop
    /// them too if <see cref="BackwardPass.Run"/> throws an <see cref="InvalidOperationException"/> because of a different gradient.
    /// </remarks>
    public static Tensor Compute(
        Tensor hidden, Tensor weight, Tensor targets, double temperature, Func<Tensor, Tensor> lossGradient,
        long heldLogits = DefaultHeldLogits)
    {
        ArgumentNullException.ThrowIfNull(lossGradient);
        Check(hidden, weight, targets, temperature);
        ArgumentOutOfRangeException.ThrowIfLessThan(heldLogits, 1);
        return IsRecorded(hidden, weight) && FusedLogProbsFunction.Supports(weight)
            ? FusedLogProbsFunction.apply(
                hidden, weight, targets, new FusedLogProbsFunction.Settings(temperature, lossGradient, heldLogits))
            : Compute(hidden, weight, targets, temperature);
    }

    /// <summary>Computes the log-probabilities of the target tokens and the entropy of each row's distribution.</summary>
    /// <inheritdoc cref="Compute(Tensor, Tensor, Tensor, double, int)" path="/param"/>
    /// <returns>
    /// The log-probabilities and the entropies in nats, [rows] float32 each, both differentiable once. Owned by the caller's scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape, type or device is wrong, or the temperature or the chunk is out of range.</exception>
    public static TokenStatistics ComputeWithEntropies(
        Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = DefaultChunkRows)
    {
        using var scope = TensorScope.Begin();
        Tensor results = Run(hidden, weight, targets, new TokenLogProbsFunction.Settings(temperature, chunkRows, WithEntropies: true));
        return new TokenStatistics(scope.Keep(results.select(0, 0)), scope.Keep(results.select(0, 1)));
    }

    /// <summary>
    /// Estimates the peak of the temporary memory of a call and its backward pass, excluding arguments, results and their gradients. With
    /// gradients and without entropies it is that of the call with a known loss gradient, which needs the most.
    /// </summary>
    /// <param name="rows">The number of rows.</param>
    /// <param name="width">The width of the hidden states, H.</param>
    /// <param name="vocabulary">The size of the vocabulary, V.</param>
    /// <param name="type">The type of the hidden states.</param>
    /// <param name="weightType">The type of the weight.</param>
    /// <param name="withEntropies">True for <see cref="ComputeWithEntropies"/>.</param>
    /// <param name="withGradients">True if a backward pass follows.</param>
    /// <returns>The estimate in bytes.</returns>
    public static long ScratchBytes(
        long rows, long width, long vocabulary, ScalarType type, ScalarType weightType, bool withEntropies, bool withGradients)
    {
        bool areKept = withGradients && !withEntropies;
        (long height, long across) = areKept
            ? LogitTiles.KeptSizeOf(rows, vocabulary, DefaultHeldLogits)
            : LogitTiles.SizeOf(rows, vocabulary, DefaultChunkRows);
        bool isSingle = type == ScalarType.Float32;
        // The tile in float32. Entropies also hold p. In 16 bits the product and its gradient are tiles too.
        long perLogit = sizeof(float) + (withEntropies ? sizeof(float) : 0)
            + (isSingle ? 0 : (type == ScalarType.Float64 ? 8 : 2) * (withGradients ? 2 : 1));
        long others = areKept ? sizeof(float) * height * (vocabulary - across) : 0;
        // Large products are convolutions, whose results are then added to the gradients.
        bool isLarge = isSingle && withGradients && height * width * across >= FastLinear.MinWork;
        // The weights in the type of hidden: those of a tile, or all of them if there are several tiles of rows.
        long rounded = type == weightType ? 0 : 2 * width * (rows > height ? vocabulary : across);
        return (height * across * perLogit) + others + (isLarge ? sizeof(float) * width * (height + across) : 0) + rounded;
    }

    private static Tensor Run(Tensor hidden, Tensor weight, Tensor targets, TokenLogProbsFunction.Settings settings)
    {
        Check(hidden, weight, targets, settings.Temperature);
        ArgumentOutOfRangeException.ThrowIfLessThan(settings.ChunkRows, 1);
        return IsRecorded(hidden, weight)
            ? TokenLogProbsFunction.apply(hidden, weight, targets, settings)
            : TokenLogProbsFunction.Forward(hidden, weight, targets, settings).Results;
    }

    private static bool IsRecorded(Tensor hidden, Tensor weight) => is_grad_enabled() && (hidden.requires_grad || weight.requires_grad);

    private static void Check(Tensor hidden, Tensor weight, Tensor targets, double temperature)
    {
        // Everything is checked here: an exception inside the backward callback would end the process.
        TensorGuard.Require(hidden, nameof(hidden), "[rows, H]", -1, -1);
        TensorGuard.Require(weight, nameof(weight), "[V, H]", -1, hidden.shape[1]);
        TensorGuard.Require(targets, nameof(targets), "[rows]", hidden.shape[0]);
        bool isRounded = hidden.dtype is ScalarType.BFloat16 or ScalarType.Float16 && weight.dtype == ScalarType.Float32;
        if (!hidden.is_floating_point() || (weight.dtype != hidden.dtype && !isRounded))
        {
            throw new ArgumentException(
                "hidden and weight must share a floating-point type, or the weight be Float32 where hidden has 16 bits, but they are "
                + $"{hidden.dtype} and {weight.dtype}.",
                nameof(weight));
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
    }
}
