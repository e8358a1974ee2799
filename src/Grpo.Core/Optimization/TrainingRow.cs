using Grpo.IO;
using Grpo.Modeling;

namespace Grpo.Optimization;

/// <summary>A completion on its way into an update, with what an error needs to name it.</summary>
/// <param name="Tokens">Prompt and completion ids.</param>
/// <param name="Advantage">A.</param>
/// <param name="Completion">The completion itself.</param>
/// <param name="PromptId">Id of its prompt.</param>
/// <param name="Sample">Index in its group, from 0.</param>
internal sealed record TrainingRow(TokenSequence Tokens, double Advantage, Completion Completion, string PromptId, int Sample)
{
    /// <summary>For messages, and fit for them whatever the id is.</summary>
    public string Title => $"prompt '{TerminalText.EscapeLine(PromptId)}', sample {Sample}";

    public static IEnumerable<TrainingRow> Of(ScoredGroup group) => group.Group.Completions.Select((completion, i) =>
        new TrainingRow(
            new TokenSequence(group.Group.PromptTokenIds, completion.TokenIds), group.Advantages[i], completion, group.Group.Prompt.Id, i));
}
