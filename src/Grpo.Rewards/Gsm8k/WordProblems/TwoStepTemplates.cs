namespace Grpo.Rewards;

/// <summary>Problems of two calculations. Every result is 2 or more, so that plurals fit.</summary>
internal static class TwoStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All =
        [HalfAsMany, TimesAsMany, GetsChange, EarnsByTheHour, FillsAndGives, PoolsAndShares];

    private static ProblemDraft HalfAsMany(ProblemRandom random)
    {
        string name = random.Pick(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        var (first, second) = random.Pick(ProblemWords.Days);
        int half = random.Between(2, 40);
        return new ProblemDraft(
            $"On {first} {name} finds {2 * half} {things}. On {second} {name} finds half as many {things}. How many {things} does {name} find on both days?")
            .Divide($"On {second} {name} finds", 2 * half, 2, things)
            .Add($"On both days {name} finds", 2 * half, half, things);
    }

    private static ProblemDraft TimesAsMany(ProblemRandom random)
    {
        var (one, other) = random.PickTwo(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        int has = random.Between(2, 25);
        int times = random.Between(2, 5);
        return new ProblemDraft(
            $"{one} has {has} {things}. {other} has {times} times as many {things} as {one}. How many {things} do they have together?")
            .Multiply($"{other} has", has, times, things)
            .Add("Together they have", has, has * times, things);
    }

    private static ProblemDraft GetsChange(ProblemRandom random)
    {
        string name = random.Pick(ProblemWords.Names);
        string ware = random.Pick(ProblemWords.Wares);
        int price = random.Between(2, 9);
        int count = random.Between(2, 8);
        int paid = (price * count / 10 * 10) + (10 * random.Between(1, 4));
        return new ProblemDraft(
            $"Each {ware} costs ${price}. {name} buys {count} {ware}s and pays with ${paid}. How much change does {name} get?")
            .Multiply($"The {ware}s cost", price, count, "$")
            .Subtract($"{name} gets", paid, price * count, "$");
    }

    private static ProblemDraft EarnsByTheHour(ProblemRandom random)
    {
        string name = random.Pick(ProblemWords.Names);
        var (first, second) = random.Pick(ProblemWords.Days);
        int wage = random.Between(3, 12);
        int hours = random.Between(2, 8);
        int more = random.Between(2, 8);
        return new ProblemDraft(
            $"{name} earns ${wage} an hour. {name} works {hours} hours on {first} and {more} hours on {second}. How much money does {name} earn?")
            .Add($"{name} works", hours, more, "hours")
            .Multiply($"{name} earns", hours + more, wage, "$");
    }

    private static ProblemDraft FillsAndGives(ProblemRandom random)
    {
        var (giver, taker) = random.PickTwo(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        var (box, boxes) = random.Pick(ProblemWords.Containers);
        int count = random.Between(2, 10);
        int inside = random.Between(3, 10);
        int gone = random.Between(2, (count * inside) - 2);
        return new ProblemDraft(
            $"{giver} has {count} {boxes} with {inside} {things} in each {box}. {giver} gives {gone} {things} to {taker}. How many {things} does {giver} have left?")
            .Multiply($"{giver} has", count, inside, things)
            .Subtract($"{giver} has", count * inside, gone, $"{things} left");
    }

    private static ProblemDraft PoolsAndShares(ProblemRandom random)
    {
        var (one, other) = random.PickTwo(ProblemWords.Names);
        string things = random.Pick(ProblemWords.Things) + "s";
        int friends = random.Between(2, 8);
        int each = random.Between(3, 12);
        int total = friends * each;
        int first = random.Between(2, total - 2);
        return new ProblemDraft(
            $"{one} has {first} {things} and {other} has {total - first} {things}. They share all {things} equally among {friends} friends. How many {things} does each friend get?")
            .Add("Together they have", first, total - first, things)
            .Divide("Each friend gets", total, friends, things);
    }
}
