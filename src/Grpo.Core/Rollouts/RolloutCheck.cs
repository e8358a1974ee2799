using System.Globalization;
using Grpo.IO;

namespace Grpo.Rollouts;

/// <summary>Checks rollouts of a plug-in or a caller: their prompts, sizes, token ids and recorded numbers.</summary>
/// <param name="policy">The name of the policy, for error messages.</param>
/// <param name="vocabulary">The number of the policy's token ids; null if it is not known.</param>
internal sealed class RolloutCheck(string policy, int? vocabulary)
{
    // A log-softmax in 16 bits may round to slightly above 0.
    private const float LargestLogProb = 0.01f;

    /// <summary>Throws unless a sampler returned the groups that it was asked for.</summary>
    /// <param name="sampler">The name of the sampler, for error messages.</param>
    /// <param name="groups">The groups that the sampler returned.</param>
    /// <param name="request">The request that the sampler was given.</param>
    /// <exception cref="InvalidOperationException">The groups do not fit the request.</exception>
    public void RequireAnswer(string sampler, IReadOnlyList<RolloutGroup?>? groups, RolloutRequest request)
    {
        if (FindProblem(groups, request) is { } problem)
        {
            throw new InvalidOperationException($"{sampler} returned {problem}");
        }
    }

    /// <summary>Throws unless the rollouts of a caller can be scored and trained on.</summary>
    /// <param name="groups">The groups, not null.</param>
    /// <param name="parameter">The name of the caller's parameter.</param>
    /// <exception cref="ArgumentException">A group cannot be used.</exception>
    public void RequireGroups(IEnumerable<RolloutGroup?> groups, string parameter)
    {
        int index = 0;
        foreach (RolloutGroup? group in groups)
        {
            string? problem = group switch
            {
                null => $"null in place {index}.",
                { Prompt: null } => $"a group without a prompt in place {index}.",
                _ => FindProblem(group, Title(group.Prompt), sampling: null),
            };
            if (problem is not null)
            {
                throw new ArgumentException($"The groups hold {problem}", parameter);
            }

            index++;
        }
    }

    private string? FindProblem(IReadOnlyList<RolloutGroup?>? groups, RolloutRequest request)
    {
        IReadOnlyList<Prompt> prompts = request.Prompts;
        if (groups is null)
        {
            return "null; it must return one group per prompt.";
        }

        if (groups.Count != prompts.Count)
        {
            return Text($"{groups.Count} groups for {prompts.Count} prompts; it must return one per prompt.");
        }

        for (int i = 0; i < groups.Count; i++)
        {
            string? problem = groups[i] switch
            {
                null => Text($"null in place {i}; it must return the group of {Title(prompts[i])} there."),
                { Prompt: null } => Text($"a group without a prompt in place {i}; it must return the group of {Title(prompts[i])} there."),
                { } group => FindProblem(group, i, prompts[i], request),
            };
            if (problem is not null)
            {
                return problem;
            }
        }

        return null;
    }

    private string? FindProblem(RolloutGroup group, int index, Prompt prompt, RolloutRequest request)
    {
        if (group.Prompt.Id != prompt.Id || group.Completions is null || group.Completions.Count != request.GroupSize)
        {
            string count = group.Completions?.Count.ToString(CultureInfo.InvariantCulture) ?? "null";
            return Text($"{count} completions of {Title(group.Prompt)} in place {index}; ")
                + Text($"it must return {request.GroupSize} of {Title(prompt)} there.");
        }

        if (group.Prompt.Answer != prompt.Answer)
        {
            return $"{Title(prompt)} {Answer(group.Prompt)}, but it was asked for the one {Answer(prompt)}.";
        }

        return FindProblem(group, Title(prompt), request.Sampling);

        static string Answer(Prompt prompt) => prompt.Answer is null
            ? "without an answer"
            : $"with the answer '{TerminalText.EscapeLine(prompt.Answer)}'";
    }

    // With sampling options, the limits and the recorded numbers are checked too.
    private string? FindProblem(RolloutGroup group, string prompt, SamplingOptions? sampling)
    {
        int longest = sampling?.MaxPromptTokens ?? int.MaxValue;
        if (group.PromptTokenIds is not { } ids || ids.Count == 0 || ids.Count > longest)
        {
            string count = group.PromptTokenIds is null ? "null for the tokens" : Text($"{group.PromptTokenIds.Count} tokens");
            return Text(
                $"{count} of {prompt}; there must be {(sampling is null ? "at least one." : $"1 to {longest} (MaxPromptTokens).")}");
        }

        if (FindToken(ids) is { } token)
        {
            return Text($"token {ids[token]} in place {token} of {prompt}; {Allowed}");
        }

        if (group.Completions is null)
        {
            return $"null completions of {prompt}.";
        }

        for (int i = 0; i < group.Completions.Count; i++)
        {
            if (FindProblem(group.Completions[i], Text($"completion {i} of {prompt}"), sampling) is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    private string? FindProblem(Completion? completion, string title, SamplingOptions? sampling) => completion switch
    {
        null => $"null for {title}.",
        { TokenIds: null } => $"null for the tokens of {title}; a completion without tokens has an empty list.",
        { Text: null } => $"null for the text of {title}; a completion without text has an empty one.",
        { FinishReason: not (FinishReason.EndToken or FinishReason.Truncated) } =>
            Text($"the finish reason {(int)completion.FinishReason} for {title}; it must be EndToken or Truncated."),
        _ when sampling is not null && completion.TokenIds.Count > sampling.MaxCompletionTokens =>
            Text($"{completion.TokenIds.Count} tokens in {title}; ")
                + Text($"at most {sampling.MaxCompletionTokens} are allowed (MaxCompletionTokens)."),
        _ when FindToken(completion.TokenIds) is { } token =>
            Text($"token {completion.TokenIds[token]} in place {token} of {title}; {Allowed}"),
        _ when sampling is not null => FindRecordProblem(completion, title),
        _ => null,
    };

    private static string? FindRecordProblem(Completion completion, string title)
    {
        if (completion.MeanEntropy is { } entropy && !(double.IsFinite(entropy) && entropy >= -LargestLogProb))
        {
            return Text($"the mean entropy {entropy} for {title}; it must be finite and 0 or more, or null for none.");
        }

        if (completion.LogProbs is not { } logProbs)
        {
            return null;
        }

        if (logProbs.Count != completion.TokenIds.Count)
        {
            return Text($"{logProbs.Count} log-probs for the {completion.TokenIds.Count} tokens of {title}; ")
                + "there must be one per token, or null for none.";
        }

        for (int t = 0; t < logProbs.Count; t++)
        {
            if (!(float.IsFinite(logProbs[t]) && logProbs[t] <= LargestLogProb))
            {
                return Text($"the log-prob {logProbs[t]} for token {t} of {title}; it must be finite and at most 0.");
            }
        }

        return null;
    }

    // Returns the index of the first id that the policy does not have.
    private int? FindToken(IReadOnlyList<int> ids)
    {
        int end = vocabulary ?? int.MaxValue;
        for (int t = 0; t < ids.Count; t++)
        {
            if (ids[t] < 0 || ids[t] >= end)
            {
                return t;
            }
        }

        return null;
    }

    private string Allowed => vocabulary is { } size
        ? Text($"token ids of {policy} are 0 to {size - 1}.")
        : "token ids are 0 or more, and below what the policy has.";

    private static string Title(Prompt prompt) => $"prompt '{TerminalText.EscapeLine(prompt.Id)}'";

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
