namespace Grpo.Rewards.Generation;

/// <summary>Tells of a person who gains and loses things, and may share or sell them. The amount stays between 2 and 125.</summary>
internal static class ThingStory
{
    public static ProblemDraft Tell(ProblemRandom random, int steps)
    {
        var (name, friend) = random.ChooseTwo(ProblemWords.Names);
        string thing = random.Choose(ProblemWords.Things);
        string things = thing + "s";
        (ProblemDraft draft, int amount) = Open(random, name, things);
        bool closes = random.Coin();
        while (draft.Steps < steps - (closes ? 1 : 0))
        {
            amount = Happen(random, draft, amount, name, friend, things);
        }

        if (!closes)
        {
            return draft.Say($"How many {things} does {name} have now?");
        }

        if (random.Divisor(amount) is { } friends && random.Coin())
        {
            return draft.Say($"{name} shares the {things} equally among {friends} friends. How many {things} does each friend get?")
                .Divide("Each friend gets", amount, friends, things);
        }

        int price = random.Between(2, amount <= 12 ? 9 : 2);
        return draft.Say($"{name} sells each {thing} for ${price}. How much money does {name} get?")
            .Multiply($"{name} gets", amount, price, "$");
    }

    private static (ProblemDraft Draft, int Amount) Open(ProblemRandom random, string name, string things)
    {
        if (random.Coin())
        {
            int has = random.Between(5, 40);
            return (new ProblemDraft($"{name} has {has} {things}."), has);
        }

        var (_, boxes) = random.Choose(ProblemWords.Containers);
        int count = random.Between(2, 9);
        int inside = random.Between(3, 9);
        ProblemDraft boxed = new ProblemDraft($"{name} has {count} {boxes} of {inside} {things}.")
            .Multiply($"{name} has", count, inside, things);
        return (boxed, count * inside);
    }

    private static int Happen(ProblemRandom random, ProblemDraft draft, int amount, string name, string friend, string things)
    {
        switch (random.Between(0, 5))
        {
            case 0 when amount % 2 == 0 && amount is >= 8 and <= 40:
                draft.Say($"{name} gives half of the {things} away.").Divide($"{name} keeps", amount, 2, things);
                break;
            case 1 when amount <= 20:
                int times = random.Between(2, 3);
                draft.Say($"A week later {name} has {times} times as many {things}.").Multiply($"{name} then has", amount, times, things);
                break;
            case 2 or 3 when amount <= 85:
                int more = random.Easy(40);
                (random.Coin()
                    ? draft.Say($"{friend} gives {name} {more} more {things}.")
                    : draft.Say($"{name} finds {more} more {things}."))
                    .Add($"{name} then has", amount, more, things);
                break;
            case > 1 when amount >= 6:
                int gone = random.Easy(Math.Min(40, amount - 3));
                (random.Coin() ? draft.Say($"{name} gives {gone} {things} to {friend}.") : draft.Say($"{name} loses {gone} {things}."))
                    .Subtract($"{name} then has", amount, gone, things);
                break;
            default:
                return amount; // this event does not fit the amount, so the caller tries again
        }

        return draft.Answer;
    }
}
