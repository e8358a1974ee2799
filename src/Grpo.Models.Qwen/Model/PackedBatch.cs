using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>
/// A batch packed into one row of R tokens: every distinct prompt once, then each row's completion without its last
/// token, which predicts nothing.
/// </summary>
/// <remarks>
/// Projections, norms and MLP see one token at a time. In a packed row they process neither padding nor a prompt twice. Only attention
/// unpacks the row (<see cref="PackedAttention"/>).
/// </remarks>
/// <param name="TokenIds">The token ids, [1, R] int64.</param>
/// <param name="Positions">The position of each token in its own sequence, [1, R] int64.</param>
/// <param name="Attention">The attention between the tokens.</param>
/// <param name="Predicting">The index of the token that predicts each of the M real completion tokens, [M] int64, below R.</param>
/// <param name="Targets">The M real completion tokens, [M] int64.</param>
/// <param name="CompletionIndices">The indices of these tokens in the flattened [B·C], [M] int64.</param>
internal sealed record PackedBatch(
    Tensor TokenIds, Tensor Positions, PackedAttention Attention, Tensor Predicting, Tensor Targets, Tensor CompletionIndices)
{
    /// <summary>Packs a batch whose <see cref="TokenBatch.SharedPrompts"/> is set.</summary>
    /// <param name="batch">The batch of B rows. Borrowed.</param>
    /// <param name="prompts">The shared prompts of the batch.</param>
    /// <param name="type">The type of the hidden states.</param>
    /// <returns>The packed batch. The caller's scope owns its tensors.</returns>
    /// <exception cref="ArgumentException">
    /// A prompt is not padded on the left or is empty, a completion is not padded on the right, or a row has no prompt.
    /// </exception>
    internal static PackedBatch From(TokenBatch batch, SharedPrompts prompts, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        int rows = checked((int)batch.Count);
        int width = checked((int)batch.CompletionLength);
        (int[] promptOfRow, long[][] promptIds, long[][] completionIds) =
            batch.Sequences is { } sequences && prompts.Assignment is { } assignment
                ? Known(sequences, assignment)
                : Read(batch, prompts, rows);

        var tokenIds = new List<long>();
        var positions = new List<long>();
        int[] promptStarts = [.. promptIds.Select(ids => Append(ids, ids.Length, firstPosition: 0))];
        int[] completionStarts =
            [.. completionIds.Select((ids, row) => Append(ids, Math.Max(ids.Length - 1, 0), promptIds[promptOfRow[row]].Length))];

        var predicting = new List<long>();
        var targets = new List<long>();
        var indices = new List<long>();
        for (int row = 0; row < rows; row++)
        {
            int prompt = promptOfRow[row];
            for (int t = 0; t < completionIds[row].Length; t++)
            {
                predicting.Add(t == 0 ? promptStarts[prompt] + promptIds[prompt].Length - 1 : completionStarts[row] + t - 1);
                targets.Add(completionIds[row][t]);
                indices.Add(((long)row * width) + t);
            }
        }

        Device device = batch.PromptIds.device;
        var layout = new PackedLayout(
            [.. promptIds.Select((ids, i) => new PackedSpan(promptStarts[i], ids.Length))],
            [.. completionIds.Select((ids, i) => new PackedSpan(completionStarts[i], Math.Max(ids.Length - 1, 0)))],
            promptOfRow);
        return new PackedBatch(
            scope.Keep(Upload(tokenIds).unsqueeze(0)), scope.Keep(Upload(positions).unsqueeze(0)),
            PackedAttention.From(layout, type, device).MovedBy(scope),
            scope.Keep(Upload(predicting)), scope.Keep(Upload(targets)), scope.Keep(Upload(indices)));

        int Append(long[] ids, int count, int firstPosition)
        {
            int start = tokenIds.Count;
            tokenIds.AddRange(ids.AsSpan(0, count));
            positions.AddRange(Enumerable.Range(firstPosition, count).Select(position => (long)position));
            return start;
        }

        Tensor Upload(List<long> values) => DeviceTransfer.ToDevice(values.ToArray(), device);
    }

    // The ids as they were before they became tensors.
    private static (int[] PromptOfRow, long[][] PromptIds, long[][] CompletionIds) Known(
        IReadOnlyList<TokenSequence> sequences, IReadOnlyList<int> assignment)
    {
        int[] promptOfRow = [.. assignment];
        long[][] promptIds = [.. Enumerable.Range(0, promptOfRow.Max() + 1)
            .Select(prompt => Ids(sequences[Array.IndexOf(promptOfRow, prompt)].PromptIds))];
        return (promptOfRow, promptIds, [.. sequences.Select(sequence => Ids(sequence.CompletionIds))]);

        static long[] Ids(IReadOnlyList<int> ids) => [.. ids.Select(id => (long)id)];
    }

    // Copies the ids to the CPU, in one transfer.
    private static (int[] PromptOfRow, long[][] PromptIds, long[][] CompletionIds) Read(TokenBatch batch, SharedPrompts prompts, int rows)
    {
        TensorGuard.Require(prompts.PromptOfRow, "batch.SharedPrompts.PromptOfRow", "[B]", rows);
        Tensor promptIds = batch.PromptIds.index_select(0, prompts.FirstRows);                           // [N, P]
        Tensor promptMask = batch.PromptMask.index_select(0, prompts.FirstRows);
        Tensor[] read = [prompts.PromptOfRow, promptIds, promptMask, batch.CompletionIds, batch.CompletionMask];
        ReadOnlySpan<long> numbers = DeviceTransfer.ToArray<long>(cat(
            [.. read.Select((values, i) => (i is 2 or 4 ? values.ne(0).to(ScalarType.Int64) : values).reshape(-1))]));
        int prompt = (int)promptIds.numel(), completion = (int)batch.CompletionIds.numel();
        int[] promptOfRow = RowPrompts(numbers[..rows].ToArray(), prompts.FirstRows.shape[0]);
        ReadOnlySpan<long> ofPrompts = numbers.Slice(rows, 2 * prompt), ofCompletions = numbers[(rows + (2 * prompt))..];
        return (
            promptOfRow,
            Real(ofPrompts[..prompt].ToArray(), ofPrompts[prompt..].ToArray(), (int)prompts.FirstRows.shape[0], atEnd: true),
            Real(ofCompletions[..completion].ToArray(), ofCompletions[completion..].ToArray(), rows, atEnd: false));
    }

    private static int[] RowPrompts(long[] promptOfRow, long prompts)
    {
        int[] numbers = [.. promptOfRow.Select(number => checked((int)number))];
        return Array.TrueForAll(numbers, number => number >= 0 && number < prompts)
            ? numbers
            : throw new ArgumentException(
                $"batch.SharedPrompts.PromptOfRow names prompts [{string.Join(", ", numbers)}] but there are {prompts}, counted from 0.",
                nameof(promptOfRow));
    }

    // The real tokens of each row. They are together at one end, where the mask is 1.
    private static long[][] Real(long[] values, long[] isReal, int rows, bool atEnd)
    {
        int columns = values.Length / rows;
        var real = new long[rows][];
        for (int row = 0; row < rows; row++)
        {
            int count = isReal.AsSpan(row * columns, columns).Count(1L);
            int start = (row * columns) + (atEnd ? columns - count : 0);
            if (isReal.AsSpan(start, count).Contains(0L) || (atEnd && count == 0))
            {
                string where = atEnd
                    ? "end of its row (prompts are padded on the left and not empty)"
                    : "start of its row (completions are padded on the right)";
                throw new ArgumentException(
                    $"{(atEnd ? "Prompt" : "Completion")} {row} of the batch has {count} real tokens, but not together at the {where}.",
                    nameof(isReal));
            }

            real[row] = values[start..(start + count)];
        }

        return real;
    }
}
