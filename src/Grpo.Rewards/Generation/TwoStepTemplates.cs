namespace Grpo.Rewards.Generation;

/// <summary>Problems of two calculations. Every result is 2 or more, so that plurals fit.</summary>
internal static class TwoStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All =
    [
        HalfAsMany, TimesAsMany, GetsChange, EarnsByTheHour, FillsAndGives, PoolsAndShares, PrintsBooks, RunsLaps, FillsATank,
        ReadsOnTwoDays, SharesTheCost,
    ];

    private static ProblemDraft HalfAsMany(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        var (first, second) = random.Choose(ProblemWords.Days);
        int half = random.Between(2, 20);
        return new ProblemDraft(
            $"On {first} {name} finds {2 * half} {things}. On {second} {name} finds half as many {things}.")
            .Say($"How many {things} does {name} find on both days?")
            .Divide($"On {second} {name} finds", 2 * half, 2, things)
            .Add($"On both days {name} finds", 2 * half, half, things);
    }

    private static ProblemDraft TimesAsMany(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int has = random.Between(2, 10);
        int times = random.Between(2, 5);
        return new ProblemDraft(
            $"{one} has {has} {things}. {other} has {times} times as many {things} as {one}. How many {things} do they have together?")
            .Multiply($"{other} has", has, times, things)
            .Add("Together they have", has, has * times, things);
    }

    private static ProblemDraft GetsChange(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        string ware = random.Choose(ProblemWords.Wares);
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
        string name = random.Choose(ProblemWords.Names);
        var (first, second) = random.Choose(ProblemWords.Days);
        int wage = random.Between(3, 9);
        int hours = random.Between(2, 8);
        int more = random.Between(2, Math.Min(8, 12 - hours));
        return new ProblemDraft(
            $"{name} earns ${wage} an hour. {name} works {hours} hours on {first} and {more} hours on {second}.")
            .Say($"How much money does {name} earn?")
            .Add($"{name} works", hours, more, "hours")
            .Multiply($"{name} earns", hours + more, wage, "$");
    }

    private static ProblemDraft FillsAndGives(ProblemRandom random)
    {
        var (giver, taker) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        var (box, boxes) = random.Choose(ProblemWords.Containers);
        int count = random.Between(2, 10);
        int inside = random.Between(3, 10);
        int gone = random.Easy((count * inside) - 2);
        return new ProblemDraft(
            $"{giver} has {count} {boxes} with {inside} {things} in each {box}. {giver} gives {gone} {things} to {taker}.")
            .Say($"How many {things} does {giver} have left?")
            .Multiply($"{giver} has", count, inside, things)
            .Subtract($"{giver} has", count * inside, gone, $"{things} left");
    }

    private static ProblemDraft PoolsAndShares(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int friends = random.Between(2, 8);
        int each = random.Between(3, 12);
        int total = friends * each;
        int first = total - random.Easy(total - 2);
        return new ProblemDraft(
            $"{one} has {first} {things} and {other} has {total - first} {things}.")
            .Say($"They share all {things} equally among {friends} friends. How many {things} does each friend get?")
            .Add("Together they have", first, total - first, things)
            .Divide("Each friend gets", total, friends, things);
    }

    private static ProblemDraft PrintsBooks(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int rate = random.Between(2, 6);
        int pages = rate * random.Between(2, 3);
        int books = random.Between(2, 4);
        return new ProblemDraft(
            $"{name} prints {books} books of {pages} pages. The printer prints {rate} pages a minute. How many minutes does it take?")
            .Multiply("The books have", books, pages, "pages")
            .Divide("It takes", books * pages, rate, "minutes");
    }

    private static ProblemDraft RunsLaps(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int laps = random.Between(2, 12);
        int minutes = random.Between(2, 9);
        int rest = random.Easy(40);
        return new ProblemDraft(
            $"{name} runs {laps} laps. Each lap takes {minutes} minutes. Then {name} rests for {rest} minutes.")
            .Say($"How many minutes is that in all?")
            .Multiply($"{name} runs", laps, minutes, "minutes")
            .Add("That is", laps * minutes, rest, "minutes in all");
    }

    private static ProblemDraft FillsATank(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int rate = random.Between(2, 9);
        int minutes = random.Between(2, 12);
        int inside = random.Easy(40);
        return new ProblemDraft(
            $"The tank of {name} holds {inside + (rate * minutes)} liters. There are {inside} liters in it.")
            .Say($"A pump adds {rate} liters a minute. How many minutes does it take to fill the tank?")
            .Subtract("The pump adds", inside + (rate * minutes), inside, "liters")
            .Divide("It takes", rate * minutes, rate, "minutes");
    }

    private static ProblemDraft ReadsOnTwoDays(ProblemRandom random)
    {
        var (first, second) = random.Choose(ProblemWords.Days);
        string name = random.Choose(ProblemWords.Names);
        int one = random.Between(2, 30);
        int two = random.Easy(9);
        int pages = one + two + random.Easy(40);
        return new ProblemDraft(
            $"The book of {name} has {pages} pages. {name} reads {one} pages on {first} and {two} pages on {second}.")
            .Say($"How many pages are left?")
            .Add($"{name} reads", one, two, "pages")
            .Subtract("The book has", pages, one + two, "pages left");
    }

    private static ProblemDraft SharesTheCost(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        var (ware, other) = random.ChooseTwo(ProblemWords.Wares);
        int friends = random.Between(2, 6);
        int total = friends * random.Between(3, 12);
        int price = total - random.Easy(total - 2);
        return new ProblemDraft(
            $"{name} buys a {ware} for ${price} and a {other} for ${total - price}. The cost is shared equally among {friends} friends.")
            .Say($"How much money does each friend pay?")
            .Add($"{name} spends", price, total - price, "$")
            .Divide("Each friend pays", total, friends, "$");
    }
}
