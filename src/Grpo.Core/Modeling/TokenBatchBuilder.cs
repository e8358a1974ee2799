using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>Builds a <see cref="TokenBatch"/> from token sequences, padded to the longest prompt and the longest completion.</summary>
public static class TokenBatchBuilder
{
    /// <summary>Builds a batch with one row per sequence.</summary>
    /// <param name="sequences">The sequences, at least one.</param>
    /// <param name="padTokenId">
    /// The id that fills unused positions. Any id of the vocabulary is allowed, since the masks exclude padding.
    /// </param>
    /// <param name="device">The device of the tensors.</param>
    /// <param name="sharePrompts">True to find rows with equal prompts and set <see cref="TokenBatch.SharedPrompts"/>.</param>
    /// <returns>The batch. Its tensors belong to the caller's scope.</returns>
    /// <exception cref="ArgumentException">There is no sequence, or a prompt is empty.</exception>
    public static TokenBatch Build(IReadOnlyList<TokenSequence> sequences, int padTokenId, Device device, bool sharePrompts = false)
    {
        ArgumentNullException.ThrowIfNull(sequences);
        if (sequences.Count == 0)
        {
            throw new ArgumentException("A batch needs at least one sequence.", nameof(sequences));
        }

        int rows = sequences.Count;
        int promptLength = sequences.Max(sequence => sequence.PromptIds.Count);
        int completionLength = sequences.Max(sequence => sequence.CompletionIds.Count);
        var promptIds = new long[rows * promptLength];
        var promptMask = new long[rows * promptLength];
        var completionIds = new long[rows * completionLength];
        var completionMask = new float[rows * completionLength];
        Array.Fill(promptIds, padTokenId);
        Array.Fill(completionIds, padTokenId);
        for (int row = 0; row < rows; row++)
        {
            (IReadOnlyList<int> prompt, IReadOnlyList<int> completion) = sequences[row];
            if (prompt.Count == 0)
            {
                throw new ArgumentException(
                    $"The prompt of sequence {row} has no tokens; a model needs at least one to predict the next.", nameof(sequences));
            }

            int start = ((row + 1) * promptLength) - prompt.Count;
            for (int t = 0; t < prompt.Count; t++)
            {
                promptIds[start + t] = prompt[t];
                promptMask[start + t] = 1;
            }

            for (int t = 0; t < completion.Count; t++)
            {
                completionIds[(row * completionLength) + t] = completion[t];
                completionMask[(row * completionLength) + t] = 1;
            }
        }

        return new TokenBatch(
            Upload(promptIds, rows, promptLength, device),
            Upload(promptMask, rows, promptLength, device),
            Upload(completionIds, rows, completionLength, device),
            Upload(completionMask, rows, completionLength, device))
        {
            SharedPrompts = sharePrompts ? FindSharedPrompts(sequences, device) : null,
            // Copies: the caller may change its lists, but not the tensors that were built from them.
            Sequences = [.. sequences.Select(row => new TokenSequence([.. row.PromptIds], [.. row.CompletionIds]))],
        };
    }

    private static SharedPrompts? FindSharedPrompts(IReadOnlyList<TokenSequence> sequences, Device device)
    {
        var numbers = new Dictionary<IReadOnlyList<int>, long>(TokenIdsComparer.Instance);
        var firstRows = new List<long>();
        var promptOfRow = new long[sequences.Count];
        for (int row = 0; row < promptOfRow.Length; row++)
        {
            if (!numbers.TryGetValue(sequences[row].PromptIds, out promptOfRow[row]))
            {
                numbers.Add(sequences[row].PromptIds, promptOfRow[row] = firstRows.Count);
                firstRows.Add(row);
            }
        }

        if (firstRows.Count == promptOfRow.Length)
        {
            return null;
        }

        using var scope = TensorScope.Begin();
        return new SharedPrompts(
            scope.Keep(DeviceTransfer.ToDevice(firstRows.ToArray(), device)), scope.Keep(DeviceTransfer.ToDevice(promptOfRow, device)))
        {
            Assignment = [.. promptOfRow.Select(prompt => (int)prompt)],
        };
    }

    private static Tensor Upload<T>(T[] values, int rows, int columns, Device device)
        where T : unmanaged
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(values is float[] floats
            ? DeviceTransfer.ToDevice(floats, device, rows, columns)
            : DeviceTransfer.ToDevice((long[])(object)values, device, rows, columns));
    }
}

/// <summary>The token ids of a prompt and its completion: one row of a batch before padding.</summary>
/// <param name="PromptIds">The ids of the prompt, at least one.</param>
/// <param name="CompletionIds">The ids of the completion; may be empty.</param>
public readonly record struct TokenSequence(IReadOnlyList<int> PromptIds, IReadOnlyList<int> CompletionIds)
{
    /// <summary>The number of tokens of prompt and completion together.</summary>
    public int Length => PromptIds.Count + CompletionIds.Count;
}
