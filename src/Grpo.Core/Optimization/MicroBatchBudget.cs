using Grpo.Modeling;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;

namespace Grpo.Optimization;

/// <summary>How large a micro-batch may be: as the options say, and smaller from the first one on that did not fit into memory.</summary>
/// <remarks>
/// The bound is one of tokens, since those are what memory goes with: short completions still share a micro-batch when long ones no longer
/// do. It is that of the larger half of what failed, so a failure cannot repeat itself, and a run that begins with it as
/// <see cref="GrpoOptions.MaxTokensPerMicroBatch"/> forms the same micro-batches.
/// </remarks>
internal sealed class MicroBatchBudget(GrpoOptions options, IPolicy policy, ILogger logger)
{
    /// <summary>What fits, as far as is known.</summary>
    public MicroBatchLimits Limits { get; private set; } = MicroBatchLimits.Of(options, policy);

    /// <summary>How often a micro-batch did not fit, since the beginning.</summary>
    public int Splits { get; private set; }

    /// <summary>The bound that memory has imposed, tokens; null while that of the options has been enough.</summary>
    public int? Imposed => Splits == 0 ? null : Limits.MaxTokens;

    /// <summary>Runs the passes of one micro-batch.</summary>
    /// <param name="rows">What is in it.</param>
    /// <param name="pass">The work. All tensors that it makes are in scopes of its own.</param>
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
    /// Does work that goes through micro-batches of <see cref="Limits"/>; from its beginning, with smaller ones, when one did not fit.
    /// </summary>
    /// <param name="work">Leaves nothing behind when it ends with an exception, but the optimizer steps that it has applied.</param>
    /// <param name="applied">How many those are; null: none.</param>
    /// <exception cref="InvalidOperationException">A single completion does not fit.</exception>
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
