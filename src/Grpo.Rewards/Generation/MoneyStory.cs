namespace Grpo.Rewards.Generation;

/// <summary>
/// Tells of a person who earns, gets and spends money, and may divide the rest. The amount stays between 2 and 170 dollars.
/// </summary>
internal static class MoneyStory
{
    public static ProblemDraft Tell(ProblemRandom random, int steps)
    {
        var (name, friend) = random.ChooseTwo(ProblemWords.Names);
        (ProblemDraft draft, int amount) = Open(random, name);
        bool closes = random.Coin();
        while (draft.Steps < steps - (closes ? 1 : 0))
        {
            int room = steps - draft.Steps - (closes ? 1 : 0);
            amount = Happen(random, draft, amount, room, name, friend);
        }

        if (!closes)
        {
            return draft.Say($"How much money does {name} have now?");
        }

        if (random.Divisor(amount) is not { } parts)
        {
            int more = random.Easy(40);
            return draft.Say($"{friend} gives {name} ${more}. How much money does {name} have now?")
                .Add($"{name} then has", amount, more, "$");
        }

        string ware = random.Choose(ProblemWords.Wares);
        return random.Coin()
            ? draft.Say($"{name} puts the money equally in {parts} jars. How much money is in each jar?")
                .Divide("Each jar has", amount, parts, "$")
            : draft.Say($"{name} spends all of it on {ware}s for ${parts} each. How many {ware}s does {name} buy?")
                .Divide($"{name} buys", amount, parts, ware + "s");
    }

    private static (ProblemDraft Draft, int Amount) Open(ProblemRandom random, string name)
    {
        if (random.Coin())
        {
            int has = random.Between(10, 60);
            return (new ProblemDraft($"{name} has ${has}."), has);
        }

        int hours = random.Between(2, 8);
        int wage = random.Between(3, 9);
        ProblemDraft works = new ProblemDraft($"{name} works {hours} hours for ${wage} an hour.")
            .Multiply($"{name} earns", hours, wage, "$");
        return (works, hours * wage);
    }

    private static int Happen(ProblemRandom random, ProblemDraft draft, int amount, int room, string name, string friend)
    {
        string ware = random.Choose(ProblemWords.Wares);
        switch (random.Between(0, 6))
        {
            case 0 when amount % 2 == 0 && amount is >= 8 and <= 40:
                draft.Say($"{name} gives half of the money to {friend}.").Divide($"{name} keeps", amount, 2, "$");
                break;
            case 1 or 2 when amount <= 130:
                int more = random.Easy(40);
                (random.Coin() ? draft.Say($"{name} gets ${more} from {friend}.") : draft.Say($"{name} sells a {ware} for ${more}."))
                    .Add($"{name} then has", amount, more, "$");
                break;
            case 3 or 4 when room >= 2 && amount >= 12:
                int price = random.Between(2, Math.Min(5, (amount - 2) / 2));
                int count = random.Between(2, Math.Min(5, (amount - 2) / price));
                draft.Say($"{name} buys {count} {ware}s for ${price} each.")
                    .Multiply($"The {ware}s cost", count, price, "$")
                    .Subtract($"{name} then has", amount, count * price, "$");
                break;
            case > 2 when amount >= 6:
                int spent = random.Easy(Math.Min(40, amount - 3));
                draft.Say($"{name} pays ${spent} for a {ware}.").Subtract($"{name} then has", amount, spent, "$");
                break;
            default:
                return amount; // this event does not fit the amount, so the caller tries again
        }

        return draft.Answer;
    }
}
