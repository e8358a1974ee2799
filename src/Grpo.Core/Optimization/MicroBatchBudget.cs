using Grpo.Modeling;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;

namespace Grpo.Optimization;

/// <summary>The limits of a micro-batch: those of the options, and smaller ones after a micro-batch did not fit into memory.</summary>
/// <remarks>
/// The limit is a number of tokens, because memory grows with tokens: short completions still share a micro-batch when long ones no longer
/// do. The new limit is the size of the larger half of the micro-batch that failed, so a failure cannot repeat. A run that starts with this
/// limit as <see cref="GrpoOptions.MaxTokensPerMicroBatch"/> forms equal micro-batches.
/// </remarks>
internal sealed class MicroBatchBudget(GrpoOptions options, IPolicy policy, ILogger logger)
{
    /// <summary>The current limits.</summary>
    public MicroBatchLimits Limits { get; private set; } = MicroBatchLimits.From(options, policy);

    /// <summary>The number of micro-batches that did not fit so far.</summary>
    public int Splits { get; private set; }

    /// <summary>The limit in tokens that memory has imposed; null while the limit of the options is enough.</summary>
    public int? Imposed => Splits == 0 ? null : Limits.MaxTokens;

    /// <summary>Runs the passes of one micro-batch.</summary>
    /// <param name="rows">The rows of the micro-batch.</param>
    /// <param name="pass">The passes, which must free all their tensors when they fail.</param>
    /// <exception cref="MicroBatchOutOfMemoryException">An allocation failed.</exception>
    public static T Run<T>(IReadOnlyList<TrainingRow> rows, Func<T> pass)
    {
        try
        {
            return pass();
        }
        catch (Exception exception) when (OutOfMemory.Is(exception))
        {
            throw new MicroBatchOutOfMemoryException(rows, exception);
        }
    }

    /// <summary>
    /// Runs work in micro-batches of <see cref="Limits"/>, and restarts it with smaller ones if a micro-batch does not fit.
    /// </summary>
    /// <param name="work">The work. After an exception, only the optimizer steps that it has applied may remain.</param>
    /// <param name="applied">Returns the number of optimizer steps applied so far; null for work without optimizer steps.</param>
    /// <exception cref="InvalidOperationException">A single completion does not fit into memory.</exception>
    public T Fit<T>(Func<T> work, Func<int>? applied = null)
    {
        while (true)
        {
            try
            {
                return work();
            }
            catch (MicroBatchOutOfMemoryException failure)
            {
                Shrink(failure, applied?.Invoke() ?? 0);
            }
        }
    }

    private void Shrink(MicroBatchOutOfMemoryException failure, int applied)
    {
        TokenSequence[] sequences = [.. failure.Rows.Select(row => row.Tokens)];
        if (sequences.Length == 1)
        {
            TrainingRow row = failure.Rows[0];
            string state = applied == 0
                ? "Nothing was applied."
                : $"{applied} of the {options.UpdatesPerRollout} updates of this rollout were applied: go back to the last checkpoint.";
            throw new InvalidOperationException(
                $"One completion does not fit into memory by itself: {row.Title}, {row.Tokens.PromptIds.Count} prompt and "
                + $"{row.Tokens.CompletionIds.Count} completion tokens. {state} Lower MaxCompletionTokens "
                + $"({options.Sampling.MaxCompletionTokens}) or MaxPromptTokens ({options.Sampling.MaxPromptTokens}), switch gradient "
                + "checkpointing on, train an adapter in place of all weights, or take a device with more memory.",
                failure.InnerException);
        }

        int half = (sequences.Length + 1) / 2;
        long tokens = Math.Max(Limits.Tokens(sequences[..half]), Limits.Tokens(sequences[half..]));
        Limits = Limits with { MaxTokens = checked((int)tokens) };
        Splits++;
        logger.MicroBatchTooLarge(sequences.Length, Limits.Tokens(sequences), tokens, failure.InnerException!.Message.Split('\n')[0]);
    }
}

/// <summary>The exception for a micro-batch that did not fit into memory, which <see cref="MicroBatchBudget"/> handles.</summary>
#pragma warning disable CA1032 // The exception always needs its rows.
internal sealed class MicroBatchOutOfMemoryException(IReadOnlyList<TrainingRow> rows, Exception cause)
#pragma warning restore CA1032
    : Exception("A micro-batch did not fit into memory.", cause)
{
    /// <summary>The rows of the micro-batch.</summary>
    public IReadOnlyList<TrainingRow> Rows { get; } = rows;
}
