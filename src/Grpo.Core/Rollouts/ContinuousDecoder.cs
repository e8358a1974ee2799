using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Rollouts;

/// <summary>
/// Decodes the groups of a rollout with a bounded number of sequences at a time: a finished sequence leaves at once, and as soon as there is
/// room for a waiting group, its prompt is run and its sequences join (continuous batching).
/// </summary>
/// <param name="policy">Decodes.</param>
/// <param name="padTokenId">Fills the prompts of a batch to the same length.</param>
/// <param name="endTokenIds">The tokens that end a completion.</param>
/// <param name="sampling">Temperature, filters and limits.</param>
internal sealed class ContinuousDecoder(IPolicy policy, int padTokenId, IReadOnlySet<int> endTokenIds, SamplingOptions sampling)
{
    private int _rows;                                 // of the session that runs

    /// <summary>The sequences that were decoded at a time when an allocation failed, for the first time; null when none did.</summary>
    public int? TooMany { get; private set; }

    /// <summary>Decodes every row to its end.</summary>
    /// <param name="groups">Rows with the same prompt; at least one each.</param>
    /// <param name="maxRows">Sequences at a time; a larger group is decoded in parts.</param>
    /// <param name="cancellationToken">Heeded before every token.</param>
    /// <returns>Sequences that fitted into memory at a time: <paramref name="maxRows"/>, or fewer where an allocation failed.</returns>
    /// <exception cref="InvalidOperationException">Not even one sequence fits into memory.</exception>
    public int Run(IReadOnlyList<RolloutRow[]> groups, int maxRows, CancellationToken cancellationToken)
    {
        while (true)
        {
            // The longest prompts first: a session has room for none that is longer than those it was started with.
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
                TooMany ??= _rows;
                maxRows = Halve(groups, exception);
            }
        }
    }

    // Sequences that were under way begin anew, with the same random numbers.
    private int Halve(IReadOnlyList<RolloutRow[]> groups, Exception exception)
    {
        RolloutRow[] unfinished = [.. groups.SelectMany(rows => rows).Where(row => !row.Completion.IsFinished)];
        if (_rows == 1)
        {
            throw new InvalidOperationException(
                $"Not even one sequence at a time fits into memory, with a prompt of up to {unfinished.Max(row => row.PromptIds.Count)} tokens and MaxCompletionTokens {sampling.MaxCompletionTokens}. " +
                "Lower MaxCompletionTokens or MaxPromptTokens, switch off what the policy adds while it decodes, such as weights in 8 bits, or take a device with more memory.",
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
        FreedMemory.TrimExcess(isNewPhase: true); // an update leaves much more than its cache has use for
        List<RolloutRow[]> first = TakeThatFit(waiting, maxRows);
        _rows = first.Sum(group => group.Length);
        using IDecodingSession session = policy.StartDecoding(Prompts(first), first[0].Length, sampling.MaxCompletionTokens);
        List<RolloutRow> rows = [.. first.SelectMany(group => group)];
        Draw(session.Prefill(), rows);
        while (Leave(session, rows))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (session.CanAddPrompts && TakeThatFit(waiting, _rows - rows.Count) is { Count: > 0 } joining)
            {
                RolloutRow[] added = [.. joining.SelectMany(group => group)];
                Draw(session.AddPrompts(Prompts(joining), joining[0].Length), added);
                rows.AddRange(added);
                continue; // some may have ended with their first token
            }

            using Tensor last = tensor(rows.Select(row => (long)row.Completion.Ids[^1]).ToArray(), device: policy.Device());   // [B]
            Draw(session.Advance(last), rows);
        }
    }

    // Groups of one size, since a session is started with one.
    private static List<RolloutRow[]> TakeThatFit(Queue<RolloutRow[]> waiting, int room)
    {
        var taken = new List<RolloutRow[]>();
        while (waiting.TryPeek(out RolloutRow[]? next) && next.Length <= room && (taken.Count == 0 || next.Length == taken[0].Length))
        {
            taken.Add(waiting.Dequeue());
            room -= next.Length;
        }

        return taken;
    }

    private TokenBatch Prompts(List<RolloutRow[]> groups) =>
        TokenBatchBuilder.Build([.. groups.Select(group => new TokenSequence(group[0].PromptIds, []))], padTokenId, policy.Device());

    private void Draw(Tensor logits, IReadOnlyList<RolloutRow> rows)
    {
        PickedToken[] tokens = TokenDraw.Pick(logits, rows, sampling);
        logits.Dispose();
        for (int row = 0; row < tokens.Length; row++)
        {
            rows[row].Completion.Append(tokens[row], endTokenIds, sampling.MaxCompletionTokens);
        }
    }

    /// <summary>Drops the finished rows; false when none is left.</summary>
    private static bool Leave(IDecodingSession session, List<RolloutRow> rows)
    {
        // The last rows take the places that have become free: all others stay where they are, which costs a session nothing.
        var kept = new List<int>(rows.Count);
        int last = rows.Count - 1;
        for (int place = 0; place <= last; place++)
        {
            while (last > place && rows[place].Completion.IsFinished && rows[last].Completion.IsFinished)
            {
                last--;
            }

            if (!rows[place].Completion.IsFinished)
            {
                kept.Add(place);
            }
            else if (last > place)
            {
                kept.Add(last--);
            }
        }

        if (kept.Count == 0 || kept.Count == rows.Count)
        {
            return kept.Count > 0;
        }

        session.KeepRows(kept);
        RolloutRow[] left = [.. kept.Select(row => rows[row])];
        rows.Clear();
        rows.AddRange(left);
        return true;
    }
}
