using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// log softmax(hidden · Wᵀ / temperature) of one token a row, without the [rows, V] logits: they are computed a tile of rows and tokens at a time, and
/// again in the backward pass.
/// </summary>
/// <remarks>
/// Exact, not an approximation: differs from log_softmax and gather only by rounding. Costs one more matrix product than keeping
/// the logits; holds a tile, or a few of its size, instead of several times rows · V floats.
/// </remarks>
public static class TokenLogProbs
{
    /// <summary>log p of the target tokens.</summary>
    /// <param name="hidden">[rows, H], floating point; leave out the rows of padding. Borrowed.</param>
    /// <param name="weight">
    /// The output layer, [V, H], on the same device; in the type of <paramref name="hidden"/>, or float32 where that has 16 bits: products are then
    /// in 16 bits, of rounded weights, and the weight's gradient is added up in float32. Borrowed.
    /// </param>
    /// <param name="targets">[rows] int64, each from 0 to V − 1. Borrowed.</param>
    /// <param name="temperature">Divides the logits; above 0 and finite.</param>
    /// <param name="chunkRows">A tile has no more logits than so many rows, over 28,672 tokens at most; at least 1.</param>
    /// <returns>[rows] float32, nats, differentiable once in hidden and weight. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape, type, device, the temperature or the chunk is wrong.</exception>
    /// <remarks>
    /// In <c>backward()</c> a float32 leaf weight receives its share in place, tile by tile, which saves another [V, H] (see <see cref="LeafGradient"/>). Use <c>backward()</c>, not <c>autograd.grad</c>, where such a weight is among the inputs.
    /// </remarks>
    public static Tensor Compute(Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = 256)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(Run(hidden, weight, targets, new TokenLogProbsFunction.Settings(temperature, chunkRows, WithEntropies: false)).select(0, 0));
    }

    /// <summary>log p of the target tokens and the entropy of each row's distribution, both differentiable.</summary>
    /// <param name="hidden">As in <see cref="Compute"/>.</param>
    /// <param name="weight">As in <see cref="Compute"/>.</param>
    /// <param name="targets">As in <see cref="Compute"/>.</param>
    /// <param name="temperature">As in <see cref="Compute"/>.</param>
    /// <param name="chunkRows">As in <see cref="Compute"/>.</param>
    /// <returns>Two tensors [rows] float32, nats. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape, type, device, the temperature or the chunk is wrong.</exception>
    public static TokenStatistics ComputeWithEntropies(Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows = 256)
    {
        using var scope = TensorScope.Begin();
        Tensor results = Run(hidden, weight, targets, new TokenLogProbsFunction.Settings(temperature, chunkRows, WithEntropies: true));
        return new TokenStatistics(scope.Keep(results.select(0, 0)), scope.Keep(results.select(0, 1)));
    }

    /// <summary>About the most memory that a call or its backward pass takes for a while, beside its arguments, results and their gradients.</summary>
    /// <param name="rows">Of hidden.</param>
    /// <param name="width">H.</param>
    /// <param name="vocabulary">V.</param>
    /// <param name="type">Of hidden.</param>
    /// <param name="weightType">Of the weight.</param>
    /// <param name="withEntropies">Whether of <see cref="ComputeWithEntropies"/>.</param>
    /// <param name="withGradients">Whether there is a backward pass.</param>
    /// <param name="chunkRows">As in <see cref="Compute"/>.</param>
    /// <returns>Bytes.</returns>
    public static long ScratchBytes(
        long rows, long width, long vocabulary, ScalarType type, ScalarType weightType, bool withEntropies, bool withGradients, int chunkRows = 256)
    {
        (long height, long across) = LogitTiles.SizeOf(rows, vocabulary, chunkRows);
        bool isSingle = type == ScalarType.Float32;
        // The tile in float32; entropies need p beside z; in 16 bits the product and its gradient are tiles too.
        long perLogit = sizeof(float) + (withEntropies ? sizeof(float) : 0) + (isSingle ? 0 : (type == ScalarType.Float64 ? 8 : 2) * (withGradients ? 2 : 1));
        // A convolution gives what is then added to the gradients.
        bool isLarge = isSingle && withGradients && height * width * across >= FastLinear.MinWork;
        // The weights in hidden's type: of a tile, or all where there are tiles of several rows.
        long rounded = type == weightType ? 0 : 2 * width * (rows > height ? vocabulary : across);
        return (height * across * perLogit) + (isLarge ? sizeof(float) * width * (height + across) : 0) + rounded;
    }

    private static Tensor Run(Tensor hidden, Tensor weight, Tensor targets, TokenLogProbsFunction.Settings settings)
    {
        Check(hidden, weight, targets, settings.Temperature, settings.ChunkRows);
        return is_grad_enabled() && (hidden.requires_grad || weight.requires_grad)
            ? TokenLogProbsFunction.apply(hidden, weight, targets, settings)
            : TokenLogProbsFunction.Forward(hidden, weight, targets, settings).Results;
    }

    private static void Check(Tensor hidden, Tensor weight, Tensor targets, double temperature, int chunkRows)
    {
        // Everything is checked here: an exception inside the backward callback would end the process.
        TensorGuard.Require(hidden, nameof(hidden), "[rows, H]", -1, -1);
        TensorGuard.Require(weight, nameof(weight), "[V, H]", -1, hidden.shape[1]);
        TensorGuard.Require(targets, nameof(targets), "[rows]", hidden.shape[0]);
        bool isRounded = hidden.dtype is ScalarType.BFloat16 or ScalarType.Float16 && weight.dtype == ScalarType.Float32;
        if (!hidden.is_floating_point() || (weight.dtype != hidden.dtype && !isRounded))
        {
            throw new ArgumentException(
                $"hidden and weight must share a floating-point type, or the weight be Float32 where hidden has 16 bits, but they are {hidden.dtype} and {weight.dtype}.",
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

        ArgumentOutOfRangeException.ThrowIfLessThan(chunkRows, 1);
    }
}
