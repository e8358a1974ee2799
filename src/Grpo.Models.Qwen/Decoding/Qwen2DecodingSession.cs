using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// Decodes with a key/value cache: each of N prompts runs once, its keys and values are copied to the G rows of its group, and every
/// further token costs one pass over one position.
/// </summary>
/// <remarks>Borrows the model, whose weights must not change while the session lives. Logits are of the last position only.</remarks>
public sealed class Qwen2DecodingSession : IDecodingSession
{
    private readonly Qwen2ForCausalLM _model;
    private readonly KeyValueCache _cache;
    private readonly int _groupSize;
    private readonly Tensor _promptIds;                // [N, P]
    private readonly Tensor _promptMask;               // [N, P]
    private Tensor? _cacheMask;                        // [B, 1, 1, capacity]; null when no prompt is padded
    private Tensor _nextPosition;                      // [B, 1]
    private bool _isPrefilled;
    private bool _isDisposed;

    internal Qwen2DecodingSession(Qwen2ForCausalLM model, TokenBatch prompts, int groupSize, int maxNewTokens)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentOutOfRangeException.ThrowIfLessThan(groupSize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxNewTokens, 1);
        TensorGuard.Require(prompts.PromptIds, "prompts.PromptIds", "[N, P]", -1, -1);
        TensorGuard.Require(prompts.PromptMask, "prompts.PromptMask", "[N, P]", prompts.PromptIds.shape);
        if (prompts.PromptIds.numel() == 0)
        {
            throw new ArgumentException(
                $"The prompts are [{prompts.Count}, {prompts.PromptLength}]; decoding needs at least one prompt of at least one token.",
                nameof(prompts));
        }

        using var scope = TensorScope.BeginNoGrad();
        if (prompts.PromptMask.narrow(1, prompts.PromptLength - 1, 1).eq(0).any().item<bool>())
        {
            throw new ArgumentException(
                "A prompt ends in padding, but prompts must be padded on the left: the last column is a real token in every row.",
                nameof(prompts));
        }

        _model = model;
        _groupSize = groupSize;
        // The last new token is never fed back, so it needs no place.
        long capacity = prompts.PromptLength + maxNewTokens - 1;
        _promptIds = scope.Release(prompts.PromptIds.clone());
        _promptMask = scope.Release(prompts.PromptMask.clone());
        Tensor rowMask = _promptMask.repeat_interleave(groupSize, 0);                                    // [B, P]
        _nextPosition = scope.Release(rowMask.ne(0).sum(1, keepdim: true));
        if (AttentionContext.HidesEarlierTokens(_promptMask))
        {
            Tensor newTokens = ones([rowMask.shape[0], maxNewTokens - 1], rowMask.dtype, rowMask.device);
            _cacheMask = scope.Release(AttentionContext.PaddingMask(cat([rowMask, newTokens], 1), model.WeightType));
        }

        _cache = new KeyValueCache(model.Config, prompts.Count, groupSize, capacity, new ParameterPlace(model.Device, model.WeightType));
    }

    /// <summary>Rows being decoded, B.</summary>
    public long RowCount => _nextPosition.shape[0];

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The prompts have been run already.</exception>
    public Tensor Prefill()
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (_isPrefilled)
        {
            throw new InvalidOperationException("Prefill was called twice; a session runs its prompts once. Start another session.");
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = _model.Hidden(_promptIds, _promptMask, _cache);                                  // [N, P, H]
        _isPrefilled = true;
        Tensor logits = Logits(hidden.select(1, hidden.shape[1] - 1));                                   // [N, V]
        return scope.Keep(logits.repeat_interleave(_groupSize, 0));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The prompts have not been run, or all new tokens have been decoded.</exception>
    /// <exception cref="ArgumentException"><paramref name="tokenIds"/> is not [B] int64.</exception>
    public Tensor Advance(Tensor tokenIds)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (!_isPrefilled)
        {
            throw new InvalidOperationException(
                "Advance was called before Prefill. Call Prefill once; it returns the logits of the first new token.");
        }

        TensorGuard.Require(tokenIds, nameof(tokenIds), "[B]", RowCount);
        if (tokenIds.dtype != ScalarType.Int64)
        {
            throw new ArgumentException($"tokenIds must be Int64 but is {tokenIds.dtype}.", nameof(tokenIds));
        }

        long position = _cache.Length;
        if (position == _cache.Capacity)
        {
            throw new InvalidOperationException(
                $"The session is full: it has room for {_cache.Capacity} positions, prompt included. Start it with a larger maxNewTokens.");
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor? mask = _cacheMask?.narrow(3, 0, position + 1);
        Tensor hidden = _model.HiddenOfNext(tokenIds, _nextPosition, mask, _cache);                      // [B, 1, H]
        _nextPosition.add_(1);
        return scope.Keep(Logits(hidden.squeeze(1)));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The prompts have not been run.</exception>
    /// <exception cref="ArgumentException">A row does not exist or is named twice.</exception>
    public void KeepRows(IReadOnlyList<int> rows)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        ArgumentNullException.ThrowIfNull(rows);
        if (!_isPrefilled)
        {
            throw new InvalidOperationException("KeepRows was called before Prefill.");
        }

        if (rows.Count == 0 || rows.Any(row => row < 0 || row >= RowCount) || rows.Distinct().Count() != rows.Count)
        {
            throw new ArgumentException(
                $"rows must name at least one of the rows 0 to {RowCount - 1}, each at most once, but is [{string.Join(", ", rows)}].",
                nameof(rows));
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor index = tensor(rows.Select(row => (long)row).ToArray()).to(_nextPosition.device);         // [b]
        _cache.KeepRows(index);
        _nextPosition = Replace(_nextPosition, scope.Release(_nextPosition.index_select(0, index)));
        if (_cacheMask is not null)
        {
            _cacheMask = Replace(_cacheMask, scope.Release(_cacheMask.index_select(0, index)));
        }
    }

    /// <summary>Frees the cache.</summary>
    public void Dispose()
    {
        _isDisposed = true;
        _cache.Dispose();
        _promptIds.Dispose();
        _promptMask.Dispose();
        _nextPosition.Dispose();
        _cacheMask?.Dispose();
    }

    private Tensor Logits(Tensor hidden) => nn.functional.linear(hidden, _model.HeadWeight);

    private static Tensor Replace(Tensor old, Tensor next)
    {
        old.Dispose();
        return next;
    }
}
