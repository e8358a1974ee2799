using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Rollouts;

/// <summary>
/// Decodes the groups of a rollout by continuous batching: finished rows are evicted at once, and waiting groups are admitted as soon as
/// there is room.
/// </summary>
/// <param name="policy">The policy to decode with.</param>
/// <param name="padTokenId">The token that pads the prompts of a batch to equal length.</param>
/// <param name="endTokenIds">The tokens that end a completion.</param>
/// <param name="sampling">The temperature, filters and limits.</param>
internal sealed class ContinuousDecoder(IPolicy policy, int padTokenId, IReadOnlySet<int> endTokenIds, SamplingOptions sampling)
{
    private int _rows;                                 // the number of rows at the start of the running session

    /// <summary>The number of sequences decoded at a time when an allocation first failed; null if none failed.</summary>
    public int? RowsAtFirstFailure { get; private set; }

    /// <summary>Decodes every row to its end.</summary>
    /// <param name="groups">The groups: rows with a common prompt, at least one each.</param>
    /// <param name="maxRows">The number of sequences to decode at a time. A larger group is decoded in parts.</param>
    /// <param name="cancellationToken">A token that is checked before each forward pass.</param>
    /// <returns>The number of sequences that fitted into memory: <paramref name="maxRows"/>, or fewer if an allocation failed.</returns>
    /// <exception cref="InvalidOperationException">Not even one sequence fits into memory.</exception>
    public int Run(IReadOnlyList<RolloutRow[]> groups, int maxRows, CancellationToken cancellationToken)
    {
        while (true)
        {
            // Longest prompts first: a session has no room for a prompt longer than those it was started with.
            var waiting = new Queue<RolloutRow[]>(groups
                .OrderByDescending(rows => rows[0].PromptIds.Count)
                .SelectMany(rows => rows.Where(row => !row.Completion.IsFinished).Chunk(maxRows)));
            try
            {
                while (waiting.Count > 0)
                {
                    RunSession(waiting, maxRows, cancellationToken);
                }

                return maxRows;
            }
            catch (Exception exception) when (OutOfMemory.Is(exception))
            {
                RowsAtFirstFailure ??= _rows;
                maxRows = Halve(groups, exception);
            }
        }
    }

    // Unfinished sequences restart, with the same random numbers.
    private int Halve(IReadOnlyList<RolloutRow[]> groups, Exception exception)
    {
        RolloutRow[] unfinished = [.. groups.SelectMany(rows => rows).Where(row => !row.Completion.IsFinished)];
        if (_rows == 1)
        {
            throw new InvalidOperationException(
                $"Not even one sequence at a time fits into memory, with a prompt of up to {unfinished.Max(row => row.PromptIds.Count)} "
                + $"tokens and MaxCompletionTokens {sampling.MaxCompletionTokens}. Lower MaxCompletionTokens or MaxPromptTokens, switch "
                + "off what the policy adds while it decodes, such as weights in 8 bits, or take a device with more memory.",
                exception);
        }

        foreach (RolloutRow row in unfinished)
        {
            row.Completion.Restart();
        }

        return _rows / 2;
    }

    private void RunSession(Queue<RolloutRow[]> waiting, int maxRows, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var scope = TensorScope.BeginNoGrad();
        FreedMemory.TrimExcess(isNewPhase: true); // an update leaves much more freed memory than decoding can reuse
        List<RolloutRow[]> first = Admit(waiting, maxRows);
        _rows = first.Sum(group => group.Length);
        using IDecodingSession session = policy.StartDecoding(Prompts(first), first[0].Length, sampling.MaxCompletionTokens);
        List<RolloutRow> rows = [.. first.SelectMany(group => group)];
        AppendTokens(session.Prefill(), rows);
        while (EvictFinished(session, rows))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (session.CanAddPrompts && Admit(waiting, _rows - rows.Count) is { Count: > 0 } admitted)
            {
                RolloutRow[] added = [.. admitted.SelectMany(group => group)];
                AppendTokens(session.AddPrompts(Prompts(admitted), admitted[0].Length), added);
                rows.AddRange(added);
                continue; // a row may have ended with its first token
            }

            using Tensor last = DeviceTransfer.ToDevice([.. rows.Select(row => (long)row.Completion.Ids[^1])], policy.Device());   // [B]
            AppendTokens(session.Advance(last), rows);
        }
    }

    // Takes groups of one size from the queue while there is room: a session takes one group size per call.
    private static List<RolloutRow[]> Admit(Queue<RolloutRow[]> waiting, int room)
    {
        var admitted = new List<RolloutRow[]>();
        while (waiting.TryPeek(out RolloutRow[]? next) && next.Length <= room && (admitted.Count == 0 || next.Length == admitted[0].Length))
        {
            admitted.Add(waiting.Dequeue());
            room -= next.Length;
        }

        return admitted;
    }

    private TokenBatch Prompts(List<RolloutRow[]> groups) =>
        TokenBatchBuilder.Build([.. groups.Select(group => new TokenSequence(group[0].PromptIds, []))], padTokenId, policy.Device());

    // Samples a token per row from the logits, and disposes them.
    private void AppendTokens(Tensor logits, IReadOnlyList<RolloutRow> rows)
    {
        SampledToken[] tokens = TokenSampler.Sample(logits, rows, sampling);
        logits.Dispose();
        for (int row = 0; row < tokens.Length; row++)
        {
            rows[row].Completion.Append(tokens[row], endTokenIds, sampling.MaxCompletionTokens);
        }
    }

    /// <summary>Evicts the finished rows from the session; returns false if none is left.</summary>
    private static bool EvictFinished(IDecodingSession session, List<RolloutRow> rows)
    {
        // The last rows fill the gaps, and all others keep their index: a row that does not move costs a session nothing.
        var kept = new List<int>(rows.Count);
        int last = rows.Count - 1;
        for (int index = 0; index <= last; index++)
        {
            while (last > index && rows[index].Completion.IsFinished && rows[last].Completion.IsFinished)
            {
                last--;
            }

            if (!rows[index].Completion.IsFinished)
            {
                kept.Add(index);
            }
            else if (last > index)
            {
                kept.Add(last--);
            }
        }

        if (kept.Count == 0 || kept.Count == rows.Count)
        {
            return kept.Count > 0;
        }

        session.KeepRows(kept);
        RolloutRow[] unfinished = [.. kept.Select(row => rows[row])];
        rows.Clear();
        rows.AddRange(unfinished);
        return true;
    }
}
