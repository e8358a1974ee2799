namespace Grpo.Rewards;

/// <summary>Problems of one calculation. Every result is 2 or more, so that plurals fit.</summary>
internal static class OneStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All = [Receives, GivesAway, FillsContainers, Shares, Walks];

    private static ProblemDraft Receives(ProblemRandom random)
    {
        var (taker, giver) = random.PickTwo(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        int has = random.Between(3, 60);
        int more = random.Between(2, 40);
        return new ProblemDraft(
            $"{taker} has {has} {things}. {giver} gives {taker} {more} more {things}. How many {things} does {taker} have now?")
            .Add($"{taker} has", has, more, $"{things} now");
    }

    private static ProblemDraft GivesAway(ProblemRandom random)
    {
        var (giver, taker) = random.PickTwo(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        int gone = random.Between(2, 40);
        int has = gone + random.Between(2, 50);
        return new ProblemDraft(
            $"{giver} has {has} {things}. {giver} gives {gone} {things} to {taker}. How many {things} does {giver} have left?")
            .Subtract($"{giver} has", has, gone, $"{things} left");
    }

    private static ProblemDraft FillsContainers(ProblemRandom random)
    {
        string name = random.Pick(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        var (box, boxes) = random.Pick(ProblemWords.Containers);
        int count = random.Between(2, 12);
        int inside = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} has {count} {boxes}. There are {inside} {things} in each {box}. How many {things} does {name} have in all?")
            .Multiply($"{name} has", count, inside, $"{things} in all");
    }

    private static ProblemDraft Shares(ProblemRandom random)
    {
        string name = random.Pick(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        int friends = random.Between(2, 10);
        int each = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} has {friends * each} {things} and shares them equally among {friends} friends. How many {things} does each friend get?")
            .Divide("Each friend gets", friends * each, friends, things);
    }

    private static ProblemDraft Walks(ProblemRandom random)
    {
        string name = random.Pick(ProblemWords.Names);
        int miles = random.Between(2, 12);
        int days = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} walks {miles} miles every day. How many miles does {name} walk in {days} days in all?")
            .Multiply($"{name} walks", miles, days, "miles in all");
    }
}
