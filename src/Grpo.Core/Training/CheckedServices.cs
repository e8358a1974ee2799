using System.Globalization;
using Grpo.Checkpoints;
using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>Calls evaluators and checkpoint stores, and checks what these plug-ins return.</summary>
internal static class CheckedServices
{
    /// <summary>Evaluates a policy.</summary>
    /// <param name="evaluator">The plug-in.</param>
    /// <param name="policy">The policy.</param>
    /// <param name="cancellationToken">The token for the evaluator.</param>
    /// <exception cref="InvalidOperationException">
    /// The report is null, or has a number that would make a checkpoint unreadable.
    /// </exception>
    public static async ValueTask<EvaluationReport> EvaluateAsync(IEvaluator evaluator, IPolicy policy, CancellationToken cancellationToken)
    {
        EvaluationReport? report = await evaluator.EvaluateAsync(policy, cancellationToken).ConfigureAwait(false);
        string? problem = report switch
        {
            null => "null; it must return a report",
            { Count: < 0 } => Text($"a report with Count {report.Count}; it must be 0 or more"),
            { Accuracy: { } accuracy } when accuracy is not (>= 0 and <= 1) => Text(
                $"a report with Accuracy {accuracy}; it must be 0 to 1, or null where nothing is judged"),
            { MeanReward: double.PositiveInfinity or double.NegativeInfinity } => Text(
                $"a report with MeanReward {report.MeanReward}; it must be finite, or NaN where nothing is scored"),
            _ when !double.IsFinite(report.MeanCompletionTokens) => Text(
                $"a report with MeanCompletionTokens {report.MeanCompletionTokens}; it must be finite"),
            { Verdicts: null } => "a report whose Verdicts are null; where there are none they are empty",
            _ => null,
        };
        return problem is null
            ? report!
            : throw new InvalidOperationException($"{evaluator.GetType().Name}.{nameof(IEvaluator.EvaluateAsync)} returned {problem}.");
    }

    /// <summary>Writes a checkpoint.</summary>
    /// <param name="store">The plug-in.</param>
    /// <param name="step">The number of steps done.</param>
    /// <param name="write">The method that writes the files into the folder.</param>
    /// <returns>The folder of the checkpoint.</returns>
    /// <exception cref="InvalidOperationException">The store wrote nothing, or returned no folder.</exception>
    public static async ValueTask<string> SaveAsync(ICheckpointStore store, long step, Action<string> write)
    {
        bool isWritten = false;
        string? folder = await store.SaveAsync(
            step,
            directory =>
            {
                write(directory);
                isWritten = true;
            },
            CancellationToken.None).ConfigureAwait(false);
        string? problem = (isWritten, folder) switch
        {
            (false, _) => "returned without having called write: there is no checkpoint",
            (_, null or "") => $"returned {(folder is null ? "null" : "an empty text")}; it must return the folder of the checkpoint",
            _ => null,
        };
        return problem is null ? folder! : throw new InvalidOperationException(
            Text($"{store.GetType().Name}.{nameof(ICheckpointStore.SaveAsync)} {problem} of step {step}."));
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
