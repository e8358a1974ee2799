using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// log softmax(hidden · Wᵀ / temperature) of one token a row, without the [rows, V] logits: they are computed a tile of rows and tokens at
/// a time, and again in the backward pass.
/// </summary>
/// <remarks>
/// Exact, not an approximation: differs from log_softmax and gather only by rounding. Costs one more matrix product than keeping
/// the logits; holds a tile, or a few of its size, instead of several times rows · V floats.
/// </remarks>
public static class TokenLogProbs
{
    private const int DefaultChunkRows = 256;
    private const long DefaultHeldLogits = 1 << 25;    // 128 MiB: rows enough for fast products with a vocabulary of 152 thousand

    /// <summary>log p of the target tokens.</summary>
    /// <param name="hidden">[rows, H], floating point; leave out the rows of padding. Borrowed.</param>
    /// <param name="weight">
    /// The output layer, [V, H], on the same device; in the type of <paramref name="hidden"/>, or float32 where that has 16 bits: products
    /// are then in 16 bits, of rounded weights, and the weight's gradient is added up in float32. Borrowed.
    /// </param>
    /// <param name="targets">[rows] int64, each from 0 to V − 1. Borrowed.</param>
    /// <param name="temperature">Divides the logits; above 0 and finite.</param>
    /// <param name="chunkRows">A tile has no more logits than so many rows, over 28,672 tokens at most; at least 1.</param>
    /// <returns>[rows] float32, nats, differentiable once in hidden and weight. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape, type, device, the temperature or the chunk is wrong.</exception>
    /// <remarks>
    /// In <c>backward()</c> a float32 leaf weight receives its share in place, tile by tile, which saves another [V, H] (see
    /// <see cref="LeafGradient"/>). Use <c>backward()</c>, not <c>autograd.grad</c>, where such a weight is among the inputs.
    /// </remarks>
    public static Tensor Compute(Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = DefaultChunkRows)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(
            Run(hidden, weight, targets, new TokenLogProbsFunction.Settings(temperature, chunkRows, WithEntropies: false)).select(0, 0));
    }

    /// <summary>
    /// log p of the target tokens, for a loss that is known beforehand: the gradients of hidden and weight are computed while the logits
    /// are there, and none is computed again in the backward pass. About a fifth less time at the output layer.
    /// </summary>
    /// <param name="hidden">As in <see cref="Compute(Tensor, Tensor, Tensor, double, int)"/>.</param>
    /// <param name="weight">As there. A trained one that is no float32 leaf gets its gradient in the usual way.</param>
    /// <param name="targets">As there.</param>
    /// <param name="temperature">As there.</param>
    /// <param name="lossGradient">
    /// dL/d log p of log p, both [rows] float32, each row's of its own log p alone. It is called for some rows after others, without
    /// gradients being recorded; the log p of rows that are yet to come are 0 then, and their gradients are not read.
    /// </param>
    /// <param name="heldLogits">Logits held at a time, those of one row at least.</param>
    /// <returns>As there, for one <c>backward()</c> that must come with that gradient.</returns>
    /// <exception cref="ArgumentException">A shape, type, device or the temperature is wrong.</exception>
    /// <remarks>
    /// A trained weight's gradient has been added to when this returns. Where no backward pass follows, or <see cref="BackwardPass.Run"/>
    /// throws an <see cref="InvalidOperationException"/> since it came with another gradient, drop all gradients.
    /// </remarks>
    public static Tensor Compute(
        Tensor hidden, Tensor weight, Tensor targets, double temperature, Func<Tensor, Tensor> lossGradient,
        long heldLogits = DefaultHeldLogits)
    {
        ArgumentNullException.ThrowIfNull(lossGradient);
        Check(hidden, weight, targets, temperature);
        ArgumentOutOfRangeException.ThrowIfLessThan(heldLogits, 1);
        return IsRecorded(hidden, weight) && FusedLogProbsFunction.CanServe(weight)
            ? FusedLogProbsFunction.apply(
                hidden, weight, targets, new FusedLogProbsFunction.Settings(temperature, lossGradient, heldLogits))
            : Compute(hidden, weight, targets, temperature);
    }

    /// <summary>log p of the target tokens and the entropy of each row's distribution, both differentiable.</summary>
    /// <param name="hidden">As in <see cref="Compute(Tensor, Tensor, Tensor, double, int)"/>.</param>
    /// <param name="weight">As in <see cref="Compute(Tensor, Tensor, Tensor, double, int)"/>.</param>
    /// <param name="targets">As in <see cref="Compute(Tensor, Tensor, Tensor, double, int)"/>.</param>
    /// <param name="temperature">As in <see cref="Compute(Tensor, Tensor, Tensor, double, int)"/>.</param>
    /// <param name="chunkRows">As in <see cref="Compute(Tensor, Tensor, Tensor, double, int)"/>.</param>
    /// <returns>Two tensors [rows] float32, nats. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape, type, device, the temperature or the chunk is wrong.</exception>
    public static TokenStatistics ComputeWithEntropies(
        Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = DefaultChunkRows)
    {
        using var scope = TensorScope.Begin();
        Tensor results = Run(hidden, weight, targets, new TokenLogProbsFunction.Settings(temperature, chunkRows, WithEntropies: true));
        return new TokenStatistics(scope.Keep(results.select(0, 0)), scope.Keep(results.select(0, 1)));
    }

    /// <summary>
    /// About the most memory that a call or its backward pass takes for a while, beside its arguments, results and their gradients; with
    /// gradients and without entropies, of a loss that is known beforehand, which takes most.
    /// </summary>
    /// <param name="rows">Of hidden.</param>
    /// <param name="width">H.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="type">Of hidden.</param>
    /// <param name="weightType">Of the weight.</param>
    /// <param name="withEntropies">Whether of <see cref="ComputeWithEntropies"/>.</param>
    /// <param name="withGradients">Whether there is a backward pass.</param>
    /// <returns>Bytes.</returns>
    public static long ScratchBytes(
        long rows, long width, long vocabulary, ScalarType type, ScalarType weightType, bool withEntropies, bool withGradients)
    {
        bool areKept = withGradients && !withEntropies;
        (long height, long across) = areKept
            ? LogitTiles.KeptSizeOf(rows, vocabulary, DefaultHeldLogits)
            : LogitTiles.SizeOf(rows, vocabulary, DefaultChunkRows);
        bool isSingle = type == ScalarType.Float32;
        // The tile in float32; entropies need p beside z; in 16 bits the product and its gradient are tiles too.
        long perLogit = sizeof(float) + (withEntropies ? sizeof(float) : 0)
            + (isSingle ? 0 : (type == ScalarType.Float64 ? 8 : 2) * (withGradients ? 2 : 1));
        long others = areKept ? sizeof(float) * height * (vocabulary - across) : 0;
        // A convolution gives what is then added to the gradients.
        bool isLarge = isSingle && withGradients && height * width * across >= FastLinear.MinWork;
        // The weights in hidden's type: of a tile, or all where there are tiles of several rows.
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
