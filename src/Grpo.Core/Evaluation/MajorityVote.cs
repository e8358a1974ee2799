namespace Grpo.Evaluation;

/// <summary>The vote over several answers to one question, known as maj@k or self-consistency.</summary>
public static class MajorityVote
{
    /// <summary>
    /// Who gave the winning answer first. The answer that was given most often wins; of answers given equally often, the one given first.
    /// </summary>
    /// <param name="answers">Answers in the order of the samples, compared character by character; null does not vote.</param>
    /// <returns>The index of the first sample with the winning answer; null when nobody votes.</returns>
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
