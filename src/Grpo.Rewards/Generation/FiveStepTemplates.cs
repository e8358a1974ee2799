namespace Grpo.Rewards.Generation;

/// <summary>Problems of five calculations. Every result is 2 or more, so that plurals fit.</summary>
internal static class FiveStepTemplates
{
    public static readonly Func<ProblemRandom, ProblemDraft>[] All =
        [BuysThreeWares, SharesTheChange, MakesToysAndBreaksSome, ReadsAtTwoRates, SavesWithAFriend];

    private static ProblemDraft BuysThreeWares(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        var (ware, other) = random.ChooseTwo(ProblemWords.Wares);
        string third = random.Choose(ProblemWords.Things);
        int[] counts = [random.Between(2, 8), random.Between(2, 4), random.Between(2, 4)];
        int[] prices = [random.Between(2, 8), random.Between(2, 5), random.Between(2, 5)];
        int[] costs = [counts[0] * prices[0], counts[1] * prices[1], counts[2] * prices[2]];
        FormattableString last = $"{counts[2]} red {third}s for ${prices[2]} each";
        return new ProblemDraft(
            $"{name} buys {counts[0]} {ware}s for ${prices[0]} each, {counts[1]} {other}s for ${prices[1]} each and {last}.")
            .Say($"How much money does {name} spend in all?")
            .Multiply($"The {ware}s cost", counts[0], prices[0], "$")
            .Multiply($"The {other}s cost", counts[1], prices[1], "$")
            .Multiply($"The red {third}s cost", counts[2], prices[2], "$")
            .Add("The first two cost", costs[0], costs[1], "$")
            .Add($"{name} spends", costs[0] + costs[1], costs[2], "$");
    }

    private static ProblemDraft SharesTheChange(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        var (ware, other) = random.ChooseTwo(ProblemWords.Wares);
        int count = random.Between(2, 8);
        int price = random.Between(2, 8);
        int otherCount = random.Between(2, 4);
        int otherPrice = random.Between(2, 5);
        int total = (count * price) + (otherCount * otherPrice);
        int jars = random.Between(2, 6);
        int change = jars * random.Between(2, 12);
        return new ProblemDraft(
            $"{name} has ${total + change}.")
            .Say($"{name} buys {count} {ware}s for ${price} each and {otherCount} {other}s for ${otherPrice} each.")
            .Say($"{name} puts the rest equally in {jars} jars. How much money is in each jar?")
            .Multiply($"The {ware}s cost", count, price, "$")
            .Multiply($"The {other}s cost", otherCount, otherPrice, "$")
            .Add($"{name} spends", count * price, otherCount * otherPrice, "$")
            .Subtract("The rest is", total + change, total, "$")
            .Divide("Each jar has", change, jars, "$");
    }

    private static ProblemDraft MakesToysAndBreaksSome(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        int rate = random.Between(3, 9);
        int otherRate = random.Between(3, 9);
        int hours = random.Between(2, 6);
        int total = (rate + otherRate) * hours;
        int inside = random.Between(2, 5);
        int boxes = random.Between(2, Math.Min(20, (total - 2) / inside));
        int price = random.Between(2, 8);
        return new ProblemDraft(
            $"{one} makes {rate} toys an hour and {other} makes {otherRate} toys an hour.")
            .Say($"They work {hours} hours and lose {total - (inside * boxes)} toys.")
            .Say($"They put {inside} toys in each box and sell each box for ${price}. How much money do they get?")
            .Add("Together they make", rate, otherRate, "toys an hour")
            .Multiply("They make", rate + otherRate, hours, "toys")
            .Subtract("They keep", total, total - (inside * boxes), "toys")
            .Divide("They fill", inside * boxes, inside, "boxes")
            .Multiply("They get", boxes, price, "$");
    }

    private static ProblemDraft ReadsAtTwoRates(ProblemRandom random)
    {
        string name = random.Choose(ProblemWords.Names);
        int pages = random.Between(3, 9);
        int days = random.Between(2, 6);
        int morePages = random.Between(3, 5);
        int moreDays = random.Between(2, 4);
        int restDays = random.Between(2, 6);
        int rest = restDays * random.Between(2, 12);
        int read = (pages * days) + (morePages * moreDays);
        return new ProblemDraft(
            $"A book has {read + rest} pages.")
            .Say($"{name} reads {pages} pages a day for {days} days and {morePages} pages a day for {moreDays} days.")
            .Say($"{name} wants to read the rest in {restDays} days. How many pages a day is that?")
            .Multiply($"{name} first reads", pages, days, "pages")
            .Multiply($"Then {name} reads", morePages, moreDays, "pages")
            .Add("Together that is", pages * days, morePages * moreDays, "pages")
            .Subtract("The rest is", read + rest, read, "pages")
            .Divide("That is", rest, restDays, "pages a day");
    }

    private static ProblemDraft SavesWithAFriend(ProblemRandom random)
    {
        var (one, other) = random.ChooseTwo(ProblemWords.Names);
        string ware = random.Choose(ProblemWords.Wares);
        int weekly = random.Between(2, 9);
        int weeks = random.Between(2, 9);
        int otherWeekly = random.Between(2, 5);
        int otherWeeks = random.Between(3, 5);
        int total = (weekly * weeks) + (otherWeekly * otherWeeks);
        int share = random.Between(2, Math.Min(20, (total - 2) / 2));
        return new ProblemDraft(
            $"{one} saves ${weekly} a week for {weeks} weeks and {other} saves ${otherWeekly} a week for {otherWeeks} weeks.")
            .Say($"They buy a {ware} for ${total - (2 * share)} and share the rest equally. How much money does each of them get?")
            .Multiply($"{one} saves", weekly, weeks, "$")
            .Multiply($"{other} saves", otherWeekly, otherWeeks, "$")
            .Add("Together they have", weekly * weeks, otherWeekly * otherWeeks, "$")
            .Subtract("The rest is", total, total - (2 * share), "$")
            .Divide("Each of them gets", 2 * share, 2, "$");
    }
}
