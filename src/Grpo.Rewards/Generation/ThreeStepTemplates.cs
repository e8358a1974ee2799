namespace Grpo.Rewards.Generation;

/// <summary>Problems of three calculations. Every result is 2 or more, so that plurals fit.</summary>
internal static class ThreeStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All =
        [BuysTwoWares, ReadsABook, PicksFruit, SavesAndSpends, DrivesAtTwoRates, SellsWithAFriend, PacksBoxes];

    private static ProblemDraft BuysTwoWares(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        var (ware, other) = random.ChooseTwo(ProblemWords.Wares);
        int count = random.Between(2, 9);
        int price = random.Between(2, 9);
        int otherCount = random.Between(2, 4);
        int otherPrice = random.Between(2, 5);
        return new ProblemDraft(
            $"{name} buys {count} {ware}s for ${price} each and {otherCount} {other}s for ${otherPrice} each.")
            .Say($"How much money does {name} spend in all?")
            .Multiply($"The {ware}s cost", count, price, "$")
            .Multiply($"The {other}s cost", otherCount, otherPrice, "$")
            .Add($"{name} spends", count * price, otherCount * otherPrice, "$");
    }

    private static ProblemDraft ReadsABook(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int pages = random.Between(3, 12);
        int days = random.Between(2, 8);
        int restDays = random.Between(2, 6);
        int restPages = random.Between(2, 12);
        int read = pages * days;
        int rest = restDays * restPages;
        return new ProblemDraft(
            $"A book has {read + rest} pages. {name} reads {pages} pages a day for {days} days.")
            .Say($"{name} wants to read the rest in {restDays} days. How many pages a day is that?")
            .Multiply($"{name} reads", pages, days, "pages")
            .Subtract("The rest is", read + rest, read, "pages")
            .Divide("That is", rest, restDays, "pages a day");
    }

    private static ProblemDraft PicksFruit(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int rows = random.Between(2, 6);
        int trees = random.Between(2, 6);
        int gone = random.Between(2, Math.Min(9, (rows * trees) - 2));
        int left = (rows * trees) - gone;
        int apples = random.Between(2, 6);
        return new ProblemDraft(
            $"{name} has {rows} rows of {trees} trees. {name} cuts down {gone} trees.")
            .Say($"Then {name} picks {apples} apples from each tree that is left. How many apples does {name} pick?")
            .Multiply($"{name} has", rows, trees, "trees")
            .Subtract("That leaves", rows * trees, gone, "trees")
            .Multiply($"{name} picks", left, apples, "apples");
    }

    private static ProblemDraft SavesAndSpends(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        string ware = random.Choose(ProblemWords.Wares);
        int has = random.Easy(40);
        int weekly = random.Between(2, 9);
        int weeks = random.Between(2, 9);
        int total = has + (weekly * weeks);
        int price = random.Easy(Math.Min(40, total - 2));
        return new ProblemDraft(
            $"{name} has ${has}. {name} saves ${weekly} every week for {weeks} weeks. Then {name} buys a {ware} for ${price}.")
            .Say($"How much money does {name} have left?")
            .Multiply($"{name} saves", weekly, weeks, "$")
            .Add($"{name} has", has, weekly * weeks, "$")
            .Subtract($"{name} has", total, price, "$");
    }

    private static ProblemDraft DrivesAtTwoRates(ProblemRandom random)
    {
        int rate = random.Between(3, 10);
        int hours = random.Between(2, 9);
        int otherRate = random.Between(3, 5);
        int otherHours = random.Between(2, 4);
        return new ProblemDraft(
            $"A train drives {hours} hours at {rate} miles an hour and {otherHours} hours at {otherRate} miles an hour.")
            .Say($"How many miles is that in all?")
            .Multiply("The first part is", hours, rate, "miles")
            .Multiply("The other part is", otherHours, otherRate, "miles")
            .Add("That is", hours * rate, otherHours * otherRate, "miles in all");
    }

    private static ProblemDraft SellsWithAFriend(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        string ware = random.Choose(ProblemWords.Wares);
        int count = random.Between(3, 12);
        int price = random.Between(2, 9);
        int share = random.Between(2, Math.Min(20, ((count * price) - 2) / 2));
        int cost = (count * price) - (2 * share);
        return new ProblemDraft(
            $"{one} and {other} pay ${cost} for {count} {ware}s and sell each {ware} for ${price}. They share what they earn equally.")
            .Say($"How much money does each of them earn?")
            .Multiply("They get", count, price, "$")
            .Subtract("They earn", count * price, cost, "$")
            .Divide("Each of them earns", 2 * share, 2, "$");
    }

    private static ProblemDraft PacksBoxes(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        string things = random.Choose(ProblemWords.Things) + "s";
        int inside = random.Between(2, 9);
        int boxes = random.Between(2, 10);
        int total = inside * boxes;
        int first = total - random.Easy(total - 2);
        int price = random.Between(2, 9);
        return new ProblemDraft(
            $"{one} has {first} {things} and {other} has {total - first} {things}.")
            .Say($"They put {inside} {things} in each box and sell each box for ${price}. How much money do they get?")
            .Add("Together they have", first, total - first, things)
            .Divide("They fill", total, inside, "boxes")
            .Multiply("They get", boxes, price, "$");
    }
}
