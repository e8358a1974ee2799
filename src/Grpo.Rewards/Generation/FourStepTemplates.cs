namespace Grpo.Rewards.Generation;

/// <summary>Problems of four calculations. Every result is 2 or more, so that plurals fit.</summary>
internal static class FourStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All =
        [BuysTwoWaresAndGetsChange, EarnsAndSplits, BakesAndSells, DrivesMostOfTheWay, MakesToys, ReadsTheRest];

    private static ProblemDraft BuysTwoWaresAndGetsChange(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        var (ware, other) = random.ChooseTwo(ProblemWords.Wares);
        int count = random.Between(2, 8);
        int price = random.Between(2, 9);
        int otherCount = random.Between(2, 4);
        int otherPrice = random.Between(2, 5);
        int total = (count * price) + (otherCount * otherPrice);
        int paid = (total / 10 * 10) + (10 * random.Between(1, 4));
        return new ProblemDraft(
            $"{name} buys {count} {ware}s for ${price} each and {otherCount} {other}s for ${otherPrice} each. {name} pays with ${paid}.")
            .Say($"How much change does {name} get?")
            .Multiply($"The {ware}s cost", count, price, "$")
            .Multiply($"The {other}s cost", otherCount, otherPrice, "$")
            .Add($"{name} spends", count * price, otherCount * otherPrice, "$")
            .Subtract($"{name} gets", paid, total, "$");
    }

    private static ProblemDraft EarnsAndSplits(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int hours = random.Between(2, 6);
        int days = random.Between(2, 5);
        int wage = random.Between(3, 8);
        int earned = hours * days * wage;

        // The rest is drawn as jars times dollars, so that it divides; what is spent follows.
        int jars = random.Between(2, 5);
        int perJar = random.Between(2, Math.Min(12, (earned - 2) / jars));
        int rest = jars * perJar;
        return new ProblemDraft(
            $"{name} works {hours} hours a day for {days} days and earns ${wage} an hour.")
            .Say($"{name} spends ${earned - rest} and puts the rest equally in {jars} jars. How much money is in each jar?")
            .Multiply($"{name} works", hours, days, "hours")
            .Multiply($"{name} earns", hours * days, wage, "$")
            .Subtract("The rest is", earned, earned - rest, "$")
            .Divide("Each jar has", rest, jars, "$");
    }

    private static ProblemDraft BakesAndSells(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int trays = random.Between(2, 8);
        int rolls = random.Between(3, 9);
        int otherTrays = random.Between(2, 4);
        int otherRolls = random.Between(3, 5);
        int total = (trays * rolls) + (otherTrays * otherRolls);
        int sold = random.Easy(Math.Min(40, total - 2));
        return new ProblemDraft(
            $"{name} bakes {trays} trays of {rolls} rolls and {otherTrays} trays of {otherRolls} rolls. {name} sells {sold} rolls.")
            .Say($"How many rolls does {name} have left?")
            .Multiply("The first trays have", trays, rolls, "rolls")
            .Multiply("The other trays have", otherTrays, otherRolls, "rolls")
            .Add("Together that is", trays * rolls, otherTrays * otherRolls, "rolls")
            .Subtract($"{name} has", total, sold, "rolls left");
    }

    private static ProblemDraft DrivesMostOfTheWay(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int rate = random.Between(3, 10);
        int hours = random.Between(2, 9);
        int otherRate = random.Between(3, 5);
        int otherHours = random.Between(2, 4);
        int driven = (rate * hours) + (otherRate * otherHours);
        int way = driven + random.Easy(40);
        return new ProblemDraft(
            $"{name} wants to drive {way} miles.")
            .Say($"{name} drives {hours} hours at {rate} miles an hour and {otherHours} hours at {otherRate} miles an hour.")
            .Say($"How many miles are left?")
            .Multiply("The first part is", hours, rate, "miles")
            .Multiply("The other part is", otherHours, otherRate, "miles")
            .Add($"{name} drives", hours * rate, otherHours * otherRate, "miles")
            .Subtract("That leaves", way, driven, "miles");
    }

    private static ProblemDraft MakesToys(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        int rate = random.Between(2, 9);
        int otherRate = random.Between(2, 9);
        int hours = random.Between(2, 6);
        int total = (rate + otherRate) * hours;
        int inside = random.Divisor(total) ?? hours;
        int price = random.Between(2, total / inside <= 30 ? 8 : 2);
        return new ProblemDraft(
            $"{one} makes {rate} toys an hour and {other} makes {otherRate} toys an hour.")
            .Say($"They work {hours} hours, put {inside} toys in each box and sell each box for ${price}. How much money do they get?")
            .Add("Together they make", rate, otherRate, "toys an hour")
            .Multiply("They make", rate + otherRate, hours, "toys")
            .Divide("They fill", total, inside, "boxes")
            .Multiply("They get", total / inside, price, "$");
    }

    private static ProblemDraft ReadsTheRest(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        var (first, second) = random.Choose(ProblemWords.Days);
        int pages = random.Between(2, 9);
        int days = random.Between(2, 6);
        int more = random.Easy(20);
        int rest = days * random.Between(2, 9);
        int read = more + (pages * days);
        return new ProblemDraft(
            $"A book has {read + rest} pages. {name} reads {pages} pages a day for {days} days and {more} pages on {first}.")
            .Say($"From {second} on {name} wants to read the rest in {days} days. How many pages a day is that?")
            .Multiply($"{name} reads", pages, days, "pages")
            .Add("With the others that is", pages * days, more, "pages")
            .Subtract("The rest is", read + rest, read, "pages")
            .Divide("That is", rest, days, "pages a day");
    }
}
