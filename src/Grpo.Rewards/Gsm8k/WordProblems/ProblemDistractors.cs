using Grpo.Callbacks;

namespace Grpo.Rewards;

/// <summary>Sentences with a number that has nothing to do with the question.</summary>
internal static class ProblemDistractors
{
    private static readonly Func<string, int, FormattableString>[] Sentences =
    [
        (name, number) => $"{name} is {number} years old.",
        (name, number) => $"{name} lives in house number {number}.",
        (name, number) => $"The class of {name} has {number} children.",
        (name, number) => $"The way to school takes {name} {number} minutes.",
        (_, number) => $"The shop is {number} miles away.",
        (_, number) => $"There are {number} birds on the roof.",
    ];

    /// <summary>Puts one in front of a sentence of the question; its number is neither an operand nor a result of the solution.</summary>
    public static string Insert(ProblemDraft draft, ProblemRandom random)
    {
        // At most 15 of these numbers occur in five calculations, so that some are always left.
        int number = random.Pick([.. Enumerable.Range(5, 26).Where(candidate => !draft.Numbers.Contains(candidate))]);
        string sentence = FormattableString.Invariant(random.Pick(Sentences)(random.Pick(ProblemWords.Names), number));
        string question = draft.Question;
        List<int> starts = [0];
        for (int end = question.IndexOf(". ", StringComparison.Ordinal); end >= 0; end = question.IndexOf(". ", end + 2, StringComparison.Ordinal))
        {
            starts.Add(end + 2);
        }

        return question.Insert(random.Pick(starts), sentence + " ");
    }
}
