namespace Grpo.Rewards;

/// <summary>All templates, by number of steps.</summary>
internal static class ProblemTemplates
{
    private static readonly Func<ProblemRandom, ProblemDraft>[][] BySteps =
        [OneStepTemplates.All, TwoStepTemplates.All, ThreeStepTemplates.All, FourStepTemplates.All];

    public static IReadOnlyList<Func<ProblemRandom, ProblemDraft>> WithSteps(int steps) => BySteps[steps - 1];
}
