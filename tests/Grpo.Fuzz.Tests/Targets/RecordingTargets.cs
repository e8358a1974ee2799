using Grpo.Callbacks;

namespace Grpo.Fuzz.Tests;

/// <summary>
/// The readers of the flight recorder's file, and of its contents without the checksums, which would refuse nearly every change.
/// </summary>
internal static class RecordingTargets
{
    public static IEnumerable<FuzzTarget> All()
    {
        yield return new("flight.bin", 4, [File()], Folder.Reading("flight", ReadFile), typeof(InvalidDataException));
        yield return new(
            "flight step", 6, [Payload(writer => FlightStepCodec.Write(writer, Step()))], ReadStep, typeof(InvalidDataException));
        yield return new("flight settings", 2, [Payload(Settings().Write)], ReadSettings, typeof(InvalidDataException));
    }

    private static FlightSettings Settings() =>
        FlightSettings.From(new GrpoOptions(), new Dictionary<string, string> { ["Run.Model"] = "tiny" });

    private static FlightStep Step() => new()
    {
        Step = 3,
        Seed = 42,
        WeightHash = new string('a', 64),
        Rounds = [1],
        MicroBatchTokens = 36,
        Groups =
        [
            new("p0", [1, 2, 300],
            [
                new()
                {
                    TokenIds = [5, 6, 70_000],
                    FinishReason = FinishReason.EndToken,
                    SamplerLogProbs = [-1.5f, -0.25f, -3],
                    MeanEntropy = 1.25,
                    Reward = new Reward(1.1)
                    {
                        Components = new Dictionary<string, double?> { ["gsm8k"] = 1, ["form"] = null },
                        Verdict = "Correct",
                        IsCorrect = true,
                    },
                    Advantage = 0.5,
                    Part = FlightPart.Trained,
                    MicroBatch = 0,
                    LogProbs = [-1.5f, -0.25f, -3.0001f],
                    ReferenceLogProbs = [-1.4f, -0.2f, -2.5f],
                },
                new()
                {
                    TokenIds = [7],
                    FinishReason = FinishReason.Truncated,
                    Reward = Reward.Abstain,
                    Advantage = 0,
                    Part = FlightPart.LeftOut,
                },
            ]),
        ],
        Updates = [new()
        {
            Loss = 0.5,
            Kl = 0.1,
            KlCoefficient = 0.04,
            GradientNorm = 1.5,
            LearningRate = 1e-5,
            SkipReason = "a spike",
            EntropyThreshold = 0.7,
        }],
    };

    private static FuzzInput Payload(Action<FlightWriter> write)
    {
        var writer = new FlightWriter();
        write(writer);
        return new FuzzInput(new FuzzPart("payload", PartFormat.Bytes, writer.Written.ToArray()));
    }

    private static FuzzInput File() => Folder.Written(folder =>
    {
        using FlightFile file = FlightFile.OpenWrite(Path.Combine(folder, FlightFile.FileName));
        file.Append(FlightKind.Settings, 3, Payload(Settings().Write).Bytes);
        file.Append(FlightKind.Step, 3, Payload(writer => FlightStepCodec.Write(writer, Step())).Bytes);
    });

    private static void ReadFile(string folder)
    {
        using FlightRecord record = FlightRecord.Open(folder);
        foreach (long step in record.Steps)
        {
            _ = record.Read(step);
            _ = record.SettingsOf(step);
        }
    }

    // An accepted input must be written and read again without a change.
    private static void ReadStep(FuzzInput input)
    {
        byte[] once = Again(input.Bytes);
        Assert.Equal(once, Again(once));

        static byte[] Again(byte[] bytes)
        {
            var reader = new FlightReader(bytes);
            FlightStep step = FlightStepCodec.Read(ref reader, 3);
            return Payload(writer => FlightStepCodec.Write(writer, step)).Bytes;
        }
    }

    private static void ReadSettings(FuzzInput input)
    {
        var reader = new FlightReader(input.Bytes);
        FlightSettings settings = FlightSettings.Read(ref reader);
        Assert.NotNull(settings.Options);
    }
}
