namespace Grpo.Rewards.Generation;

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

    /// <summary>Inserts one before a sentence of the question. Its number is neither an operand nor a result of the solution.</summary>
    public static string Insert(ProblemDraft draft, ProblemRandom random)
    {
        // Five calculations use at most 15 of these numbers, so some are always left.
        int number = random.Choose([.. Enumerable.Range(5, 26).Where(candidate => !draft.Values.Contains(candidate))]);
        string sentence = FormattableString.Invariant(random.Choose(Sentences)(random.Choose(ProblemWords.Names), number));
        string question = draft.Question;
        List<int> starts = [0];
        for (int i = 0; (i = question.IndexOf(". ", i, StringComparison.Ordinal)) >= 0;)
        {
            i += 2;
            starts.Add(i);
        }

        return question.Insert(random.Choose(starts), sentence + " ");
    }
}
