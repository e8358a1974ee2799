namespace Grpo.Rewards.Generation;

/// <summary>Tells of a ride in several parts, with or without a speed. The distance left stays between 2 and 130 miles.</summary>
internal static class TripStory
{
    public static ProblemDraft Tell(ProblemRandom random, int steps)
    {
        string name = random.Choose(ProblemWords.Names);
        int left = random.Between(30, 50) + (20 * (steps - 1));
        var draft = new ProblemDraft($"{name} wants to ride {left} miles.");
        bool closes = random.Coin();
        while (draft.Steps < steps - (closes ? 1 : 0))
        {
            Ride(random, draft, left, steps - draft.Steps - (closes ? 1 : 0), name);
            left = draft.Answer;
        }

        if (!closes)
        {
            return draft.Say($"How many miles are left?");
        }

        if (random.Divisor(left) is not { } parts)
        {
            int back = random.Easy(20);
            return draft.Say($"The way to a lake makes the trip {back} miles longer. How many miles are left?")
                .Add("That makes", left, back, "miles");
        }

        return random.Coin()
            ? draft.Say($"{name} rides the rest at {parts} miles an hour. How many hours does the rest take?")
                .Divide("The rest takes", left, parts, "hours")
            : draft.Say($"{name} rides the rest in {parts} hours. How many miles an hour is that?")
                .Divide("That is", left, parts, "miles an hour");
    }

    private static void Ride(ProblemRandom random, ProblemDraft draft, int left, int room, string name)
    {
        string time = random.Choose(ProblemWords.Times);
        if (room >= 2 && left >= 20 && random.Coin())
        {
            int rate = random.Between(3, Math.Min(5, (left - 10) / 2));
            int hours = random.Between(2, Math.Min(4, (left - 4) / rate));
            draft.Say($"{time} {name} rides {hours} hours at {rate} miles an hour.")
                .Multiply($"{name} rides", hours, rate, "miles")
                .Subtract("That leaves", left, hours * rate, "miles");
            return;
        }

        int miles = random.Easy(Math.Clamp(left / 2, 2, 40));
        draft.Say($"{time} {name} rides {miles} miles.").Subtract("That leaves", left, miles, "miles");
    }
}
