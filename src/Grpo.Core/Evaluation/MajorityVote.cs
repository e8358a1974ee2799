namespace Grpo.Evaluation;

/// <summary>Computes the majority vote over several answers to one question, known as maj@k or self-consistency.</summary>
internal static class MajorityVote
{
    /// <summary>Returns the first sample that gives the most frequent answer. On ties, the answer that was given first wins.</summary>
    /// <param name="answers">The answers in the order of the samples, compared by ordinal. Null does not vote.</param>
    /// <returns>The index of the sample; null if there is no answer.</returns>
    /// <remarks>Wang et al., "Self-Consistency Improves Chain of Thought Reasoning", arXiv:2203.11171. The rule for ties is ours.</remarks>
    public static int? Winner(IReadOnlyList<string?> answers)
    {
        ArgumentNullException.ThrowIfNull(answers);
        var candidates = new Dictionary<string, (int First, int Votes)>(StringComparer.Ordinal);
        for (int i = 0; i < answers.Count; i++)
        {
            if (answers[i] is { } answer)
            {
                candidates[answer] = candidates.TryGetValue(answer, out var known) ? (known.First, known.Votes + 1) : (i, 1);
            }
        }

        return candidates.Count == 0
            ? null
            : candidates.Values.OrderByDescending(candidate => candidate.Votes).ThenBy(candidate => candidate.First).First().First;
    }
}
