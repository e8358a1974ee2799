using System.Globalization;

namespace Grpo.Rewards;

/// <summary>
/// A penalty for long completions: DAPO's soft overlong punishment. It is 0 up to a free length, then falls linearly to −1 at the limit.
/// </summary>
/// <remarks>
/// For a completion of n tokens, limit L and buffer c, the reward is 0 up to L − c, then ((L − c) − n) / c, and −1 from L on.
/// See arXiv:2503.14476, eq. 13.
/// </remarks>
public sealed class LengthPenaltyReward : CompletionReward, IHasIdentity
{
    private readonly int _free;
    private readonly int _buffer;

    /// <summary>Creates the reward from its limit and its buffer.</summary>
    /// <param name="maxTokens">The limit L in tokens, usually <see cref="SamplingOptions.MaxCompletionTokens"/>. 1 or more.</param>
    /// <param name="bufferTokens">
    /// The buffer c: the number of tokens below the limit over which the penalty grows. 1 to <paramref name="maxTokens"/>.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public LengthPenaltyReward(int maxTokens, int bufferTokens)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxTokens, 1);
        if (bufferTokens < 1 || bufferTokens > maxTokens)
        {
            throw new ArgumentOutOfRangeException(nameof(bufferTokens), bufferTokens, string.Create(
                CultureInfo.InvariantCulture, $"bufferTokens must be 1 to maxTokens, which is {maxTokens}."));
        }

        _free = maxTokens - bufferTokens;
        _buffer = bufferTokens;
    }

    /// <inheritdoc/>
    public PlugInIdentity Identity => new PlugInIdentity("length penalty").With("free tokens", _free).With("buffer tokens", _buffer);

    /// <inheritdoc/>
    public override Reward Score(Prompt prompt, Completion completion)
    {
        ArgumentNullException.ThrowIfNull(completion);
        int beyond = Math.Clamp(completion.TokenIds.Count - _free, 0, _buffer);
        return (double)-beyond / _buffer;
    }
}
