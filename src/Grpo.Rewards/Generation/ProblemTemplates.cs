namespace Grpo.Rewards.Generation;

/// <summary>All templates by number of steps: problems with a fixed course, and stories with a random one.</summary>
internal static class ProblemTemplates
{
    private static readonly Func<ProblemRandom, ProblemDraft>[][] BySteps =
    [
        OneStepTemplates.All,
        [.. TwoStepTemplates.All, .. Stories(2)],
        [.. ThreeStepTemplates.All, .. Stories(3)],
        [.. FourStepTemplates.All, .. Stories(4)],
        [.. FiveStepTemplates.All, .. Stories(5)],
    ];

    /// <summary>The most steps that a problem can have.</summary>
    public static int MaxSteps => BySteps.Length;

    public static IReadOnlyList<Func<ProblemRandom, ProblemDraft>> WithSteps(int steps) => BySteps[steps - 1];

    // A story has many courses and a template only one. Listing most stories twice keeps the two kinds about equally frequent.
    private static Func<ProblemRandom, ProblemDraft>[] Stories(int steps) =>
    [
        random => ThingStory.Tell(random, steps),
        random => ThingStory.Tell(random, steps),
        random => MoneyStory.Tell(random, steps),
        random => MoneyStory.Tell(random, steps),
        random => TripStory.Tell(random, steps),
    ];
}
