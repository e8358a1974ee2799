using Grpo.Modeling;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>A decoding session of a model with a key/value cache.</summary>
/// <remarks>
/// Each prompt runs once, and its keys and values are copied to the G rows of its group. Every further token costs one pass over one
/// position. Finished rows are evicted, and waiting prompts are admitted in their place. The session borrows the model: do not change its
/// weights or dispose it while the session lives. Logits are those of the last position only.
/// </remarks>
public sealed class DecodingSession : IDecodingSession
{
    private readonly CausalLM _model;
    private readonly CausalLM? _copy;          // the model in 16 bits if that decodes, else null
    private readonly KeyValueCache _cache;
    private readonly Int8Weights? _int8;
    private readonly CpuDecoder? _cpuDecoder;          // null if the modules decode
    private RotaryTable? _rotaryTable;                 // created by the first step of the modules
    private readonly int _groupSize;
    private readonly int _longestPrompt;
    private readonly Tensor _promptIds;                // [N, P]
    private readonly Tensor _promptMask;               // [N, P]
    private readonly int[]? _promptLengths;            // N, or null if the batch does not tell them
    private Tensor? _positions;                        // [B, 1]: the length of each row; null before the prompts have run
    private bool _isDisposed;

    /// <param name="model">The model. Borrowed.</param>
    /// <param name="prompts">The N prompts. Borrowed.</param>
    /// <param name="options">The size of the session and the arithmetic of its weights.</param>
    internal DecodingSession(CausalLM model, TokenBatch prompts, DecodingOptions options)
    {
        (int groupSize, int maxNewTokens) = options;
        Require(prompts, groupSize);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxNewTokens, 1);
        _groupSize = groupSize;
        _longestPrompt = (int)prompts.PromptLength;
        int slots = checked((int)prompts.Count * groupSize);
        int capacity = checked(_longestPrompt + maxNewTokens - 1); // the last new token is never fed back
        using var scope = TensorScope.BeginNoGrad();
        _promptIds = prompts.PromptIds.clone();
        _promptMask = prompts.PromptMask.clone();
        _promptLengths = LengthsOf(prompts);
        _copy = options.Copies ?? (model.ComputeType != model.WeightType && model.Device.type != DeviceType.CPU)
            ? model.Clone(type: model.ComputeType)
            : null;
        _model = _copy ?? model;
        try
        {
            _int8 = options.Int8 ? new Int8Weights(_model.ProjectionWeights()) : null;
            _cache = new KeyValueCache(_model.Config, slots, capacity, new ParameterPlacement(_model.Device, _model.WeightType));
            _cpuDecoder = DeviceTransfer.IsOnDevice(_model.HeadWeight) ? null : CpuDecoder.TryCreate(_model, _cache, _int8);
        }
        catch
        {
            _cache?.Dispose(); // the sampler retries with fewer rows
            _int8?.Dispose();
            _copy?.Dispose();
            throw;
        }

        scope.Release(_promptIds);
        scope.Release(_promptMask);
    }

    /// <summary>The number of rows that are being decoded, B.</summary>
    public int RowCount => _positions is null ? (int)_promptIds.shape[0] * _groupSize : _cache.Lengths.Count;

    /// <inheritdoc/>
    public bool CanAddPrompts => true;

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The prompts have already been run.</exception>
    public Tensor Prefill()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_positions is not null)
        {
            throw new InvalidOperationException(
                "Prefill was called twice; a session runs its prompts once. Start another session, or AddPrompts.");
        }

        return Run(_promptIds, _promptMask, _promptLengths, _groupSize);
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The first prompts have not been run.</exception>
    /// <exception cref="ArgumentException">A prompt is too long, or there are too many rows.</exception>
    public Tensor AddPrompts(TokenBatch prompts, int groupSize)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Require(prompts, groupSize);
        if (_positions is null)
        {
            throw new InvalidOperationException("AddPrompts was called before Prefill.");
        }

        if (prompts.PromptLength > _longestPrompt || RowCount + (prompts.Count * groupSize) > _cache.Slots)
        {
            throw new ArgumentException(
                $"{prompts.Count} prompts of up to {prompts.PromptLength} tokens with {groupSize} rows each do not fit: the session was "
                + $"started with prompts of up to {_longestPrompt} tokens and has room for {_cache.Slots - RowCount} rows. "
                + "Start with the longest prompts, and drop rows first.",
                nameof(prompts));
        }

        return Run(prompts.PromptIds, prompts.PromptMask, LengthsOf(prompts), groupSize);
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The prompts have not been run, or all new tokens have been decoded.</exception>
    /// <exception cref="ArgumentException">
    /// <paramref name="tokenIds"/> is not [B] int64. On a CPU with its own decoding kernels also: an id is not below the vocabulary size.
    /// </exception>
    public Tensor Advance(Tensor tokenIds)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_positions is null)
        {
            throw new InvalidOperationException(
                "Advance was called before Prefill. Call Prefill once; it returns the logits of the first new token.");
        }

        TensorGuard.Require(tokenIds, nameof(tokenIds), "[B]", RowCount);
        TensorGuard.RequireSameDevice(tokenIds, nameof(tokenIds), _positions);
        if (tokenIds.dtype != ScalarType.Int64)
        {
            throw new ArgumentException($"tokenIds must be Int64 but is {tokenIds.dtype}.", nameof(tokenIds));
        }

        if (_cache.Longest == _cache.Capacity)
        {
            throw new InvalidOperationException(
                $"The session is full: a row has room for {_cache.Capacity} positions, prompt included. "
                + "Start it with a larger maxNewTokens.");
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor logits = _cpuDecoder is not null && _cpuDecoder.CanDecode(RowCount)
            ? _cpuDecoder.Advance(DeviceTransfer.ToArray<long>(tokenIds))
            : Logits(HiddenOfNext(tokenIds, _positions), _int8);                                          // [B, V]
        _cache.CommitNext();
        _positions.add_(1);
        return scope.Keep(logits);
    }

    /// <inheritdoc/>
    /// <remarks>A row that keeps its number costs nothing. The keys and values of any other row are copied.</remarks>
    /// <exception cref="InvalidOperationException">The prompts have not been run.</exception>
    /// <exception cref="ArgumentException">A row does not exist or is named twice.</exception>
    public void KeepRows(IReadOnlyList<int> rows)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ArgumentNullException.ThrowIfNull(rows);
        if (_positions is null)
        {
            throw new InvalidOperationException("KeepRows was called before Prefill.");
        }

        if (rows.Count == 0 || rows.Any(row => row < 0 || row >= RowCount) || rows.Distinct().Count() != rows.Count)
        {
            throw new ArgumentException(
                $"rows must name at least one of the rows 0 to {RowCount - 1}, each at most once, but is [{string.Join(", ", rows)}].",
                nameof(rows));
        }

        _cache.KeepRows(rows);
        UpdatePositions();
    }

    /// <summary>Frees the cache.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _cpuDecoder?.Dispose();
        _rotaryTable?.Dispose();
        _cache.Dispose();
        _int8?.Dispose();
        _copy?.Dispose();
        _promptIds.Dispose();
        _promptMask.Dispose();
        _positions?.Dispose();
    }

    private Tensor Run(Tensor promptIds, Tensor promptMask, int[]? promptLengths, int groupSize)
    {
        using var scope = TensorScope.BeginNoGrad();
        (long count, long width) = (promptIds.shape[0], promptIds.shape[1]);                             // N, P
        Tensor lengths = promptMask.ne(0).sum(1, keepdim: true);                                         // [N, 1]
        Tensor columns = arange(width, ScalarType.Int64, _model.Device).unsqueeze(0);                    // [1, P]
        // Moves the padding to the right, where causality hides it. So every row of the cache starts at position 0.
        Tensor ids = promptIds.gather(1, (columns - lengths).remainder(width));
        Tensor hidden = _model.Hidden(ids, attentionMask: null, new CachePass.Prompts(_cache, groupSize));   // [N, P, H]
        Tensor last = arange(count, ScalarType.Int64, _model.Device) * width + lengths.squeeze(1) - 1;   // [N]
        Tensor logits = Logits(hidden.flatten(0, 1).index_select(0, last), int8: null);                  // [N, V]
        _cache.CommitPrompts(promptLengths ?? [.. DeviceTransfer.ToArray<long>(lengths).Select(length => (int)length)], groupSize);
        UpdatePositions();
        return scope.Keep(logits.repeat_interleave(groupSize, 0));
    }

    // [B, H]
    private Tensor HiddenOfNext(Tensor tokenIds, Tensor positions)
    {
        _rotaryTable ??= new RotaryTable(_model.Config, _cache.Capacity, _model.WeightType, _model.Device);
        return _model.HiddenOfNext(tokenIds, positions, _cache, _int8, _rotaryTable).squeeze(1);
    }

    private void UpdatePositions()
    {
        using var scope = TensorScope.BeginNoGrad();
        _positions?.Dispose();
        _positions = scope.Release(
            DeviceTransfer.ToDevice([.. _cache.Lengths.Select(length => (long)length)], _model.Device, _cache.Lengths.Count, 1));
    }

    private Tensor Logits(Tensor hidden, Int8Weights? int8) => int8 is null && DeviceTransfer.IsOnDevice(hidden)
        ? FastLinear.Apply(hidden, _model.HeadWeight)
        : DecodingLinear.Apply(hidden, _model.HeadWeight, bias: null, int8);

    private static int[]? LengthsOf(TokenBatch prompts) => prompts.Sequences is { } known
        ? [.. known.Select(sequence => sequence.PromptIds.Count)]
        : null;

    private static void Require(TokenBatch prompts, int groupSize)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentOutOfRangeException.ThrowIfLessThan(groupSize, 1);
        TensorGuard.Require(prompts.PromptIds, "prompts.PromptIds", "[N, P]", -1, -1);
        TensorGuard.Require(prompts.PromptMask, "prompts.PromptMask", "[N, P]", prompts.PromptIds.shape);
        if (prompts.PromptIds.numel() == 0)
        {
            throw new ArgumentException(
                $"The prompts are [{prompts.Count}, {prompts.PromptLength}]; decoding needs at least one prompt of at least one token.",
                nameof(prompts));
        }

        if (prompts.Sequences is not null)
        {
            return; // built on the CPU, so padded on the left: nothing has to be read from the device
        }

        using var scope = TensorScope.BeginNoGrad();
        if (DeviceTransfer.ToNumber<bool>(prompts.PromptMask.narrow(1, prompts.PromptLength - 1, 1).eq(0).any()))
        {
            throw new ArgumentException(
                "A prompt ends in padding, but prompts must be padded on the left: the last column is a real token in every row.",
                nameof(prompts));
        }
    }
}

/// <summary>The size of a decoding session and the arithmetic of its weights.</summary>
/// <param name="GroupSize">The number of rows of each prompt, G.</param>
/// <param name="MaxNewTokens">The largest number of new tokens in a row.</param>
internal sealed record DecodingOptions(int GroupSize, int MaxNewTokens)
{
    /// <summary>True to decode with weights rounded to 8 bits.</summary>
    public bool Int8 { get; init; }

    /// <summary>
    /// True to decode from a copy in the model's <see cref="CausalLM.ComputeType"/>. Null decides: a copy if that type differs from
    /// the weights' type and the model is not on a CPU.
    /// </summary>
    public bool? Copies { get; init; }
}
