using Grpo.Scoring;

namespace Grpo.Callbacks;

/// <summary>
/// Encodes and decodes the rewards of a step. A name is written once and then by number; the weights are written once.
/// </summary>
internal sealed class FlightRewardCodec
{
    private const byte NoWeights = 0;
    private const byte SameWeights = 1;
    private const byte NewWeights = 2;

    private static readonly Dictionary<string, double?> NoComponents = [];

    private readonly Dictionary<string, int> _numbers = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];
    private bool _wroteWeights;

    /// <summary>The weights of the reward's parts. Set them before writing; they are known after reading the first reward.</summary>
    public IReadOnlyDictionary<string, double>? Weights { get; set; }

    public void Write(FlightWriter writer, Reward reward)
    {
        writer.Optional(reward.Value);
        writer.Byte(reward.IsCorrect switch { null => 0, false => 1, true => 2 });
        WriteName(writer, reward.Verdict);
        writer.Count(reward.Components is null ? 0 : reward.Components.Count + 1);
        foreach ((string name, double? value) in reward.Components ?? NoComponents)
        {
            WriteName(writer, name);
            writer.Optional(value);
        }

        WriteWeights(writer);
    }

    public Reward Read(ref FlightReader reader)
    {
        double? value = reader.OptionalRewardNumber(RewardCall.LargestReward);
        byte judged = reader.Byte();
        string? verdict = ReadName(ref reader);
        int parts = reader.Count(2);
        Dictionary<string, double?>? components = parts == 0 ? null : new(StringComparer.Ordinal);
        for (int i = 1; i < parts; i++)
        {
            components![Required(ReadName(ref reader))] = reader.OptionalRewardNumber();
        }

        ReadWeights(ref reader);
        return new Reward(value)
        {
            IsCorrect =
                judged switch { 0 => null, 1 => false, 2 => true, _ => throw new InvalidDataException($"{judged} is no judgment") },
            Verdict = verdict,
            Components = components,
        };
    }

    // The format stores weights per reward, although they belong to the reward function. The first reward of a step holds them.
    private void WriteWeights(FlightWriter writer)
    {
        writer.Byte(Weights is null ? NoWeights : _wroteWeights ? SameWeights : NewWeights);
        if (Weights is null || _wroteWeights)
        {
            return;
        }

        _wroteWeights = true;
        writer.Count(Weights.Count);
        foreach ((string name, double weight) in Weights)
        {
            WriteName(writer, name);
            writer.Double(weight);
        }
    }

    private void ReadWeights(ref FlightReader reader)
    {
        switch (reader.Byte())
        {
            case NoWeights:
            case SameWeights when Weights is not null:
                break;
            case NewWeights:
                int count = reader.Count(9);
                var weights = new Dictionary<string, double>(StringComparer.Ordinal);
                for (int i = 0; i < count; i++)
                {
                    weights[Required(ReadName(ref reader))] = reader.Double();
                }

                Weights ??= weights; // the first ones count, as in an update
                break;
            default:
                throw new InvalidDataException("the weights of a reward are neither none nor new nor those before");
        }
    }

    // Writes 0 for null, and otherwise the number of the name, from 1. A new number is followed by the name itself.
    private void WriteName(FlightWriter writer, string? name)
    {
        if (name is null)
        {
            writer.Count(0);
        }
        else if (_numbers.TryGetValue(name, out int number))
        {
            writer.Count(number);
        }
        else
        {
            _numbers.Add(name, _numbers.Count + 1);
            writer.Count(_numbers.Count);
            writer.Text(name);
        }
    }

    private string? ReadName(ref FlightReader reader)
    {
        int number = reader.Int();
        if (number == 0)
        {
            return null;
        }

        if (number == _names.Count + 1)
        {
            _names.Add(reader.Text());
        }

        return number <= _names.Count ? _names[number - 1] : throw new InvalidDataException($"name {number} is used before it is given");
    }

    private static string Required(string? name) => name ?? throw new InvalidDataException("a part of a reward has no name");
}
