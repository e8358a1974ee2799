namespace Grpo.Rewards.Generation;

/// <summary>Problems of one calculation. Every result is 2 or more, so that plurals fit.</summary>
internal static class OneStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All =
        [Receives, GivesAway, FillsContainers, Shares, Walks, WatchesAFilm, RidesTheBus, CanBuy, HasMore, DrawsAndReads];

    private static ProblemDraft Receives(ProblemRandom random)
    {
        var (taker, giver) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int has = random.Between(3, 60);
        int more = random.Easy(40);
        return new ProblemDraft(
            $"{taker} has {has} {things}. {giver} gives {taker} {more} more {things}. How many {things} does {taker} have now?")
            .Add($"{taker} has", has, more, $"{things} now");
    }

    private static ProblemDraft GivesAway(ProblemRandom random)
    {
        var (giver, taker) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int gone = random.Easy(40);
        int has = gone + random.Between(2, 40);
        return new ProblemDraft(
            $"{giver} has {has} {things}. {giver} gives {gone} {things} to {taker}. How many {things} does {giver} have left?")
            .Subtract($"{giver} has", has, gone, $"{things} left");
    }

    private static ProblemDraft FillsContainers(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        var (box, boxes) = random.Choose(ProblemWords.Containers);
        int count = random.Between(2, 12);
        int inside = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} has {count} {boxes}. There are {inside} {things} in each {box}. How many {things} does {name} have in all?")
            .Multiply($"{name} has", count, inside, $"{things} in all");
    }

    private static ProblemDraft Shares(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int friends = random.Between(2, 10);
        int each = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} has {friends * each} {things} and shares them equally among {friends} friends.")
            .Say($"How many {things} does each friend get?")
            .Divide("Each friend gets", friends * each, friends, things);
    }

    private static ProblemDraft Walks(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int miles = random.Between(2, 12);
        int days = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} walks {miles} miles every day. How many miles does {name} walk in {days} days in all?")
            .Multiply($"{name} walks", miles, days, "miles in all");
    }

    private static ProblemDraft WatchesAFilm(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int seen = random.Easy(40);
        int minutes = seen + random.Between(2, 60);
        return new ProblemDraft(
            $"A film takes {minutes} minutes. {name} has seen {seen} minutes of the film. How many minutes are left?")
            .Subtract("The film has", minutes, seen, "minutes left");
    }

    private static ProblemDraft RidesTheBus(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int rate = random.Between(3, 12);
        int hours = random.Between(2, 9);
        return new ProblemDraft(
            $"A bus drives at {rate} miles an hour. {name} is on the bus for {hours} hours. How many miles is that?")
            .Multiply("That is", rate, hours, "miles");
    }

    private static ProblemDraft CanBuy(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        string ware = random.Choose(ProblemWords.Wares);
        int price = random.Between(2, 9);
        int count = random.Between(2, 12);
        return new ProblemDraft(
            $"{name} has ${price * count}. Each {ware} costs ${price}. How many {ware}s can {name} buy with this money?")
            .Divide($"{name} can buy", price * count, price, ware + "s");
    }

    private static ProblemDraft HasMore(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int fewer = random.Easy(40);
        int more = random.Between(2, 50);
        return new ProblemDraft(
            $"{one} has {fewer + more} {things}. {other} has {fewer} {things}. How many more {things} does {one} have than {other}?")
            .Subtract($"{one} has", fewer + more, fewer, $"more {things}");
    }

    private static ProblemDraft DrawsAndReads(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int draws = random.Between(5, 60);
        int reads = random.Easy(40);
        return new ProblemDraft(
            $"{name} draws for {draws} minutes and then reads for {reads} minutes. How many minutes is that in all?")
            .Add("That is", draws, reads, "minutes in all");
    }
}
