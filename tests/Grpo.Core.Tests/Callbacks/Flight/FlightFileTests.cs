using System.Buffers.Binary;
using CsCheck;
using Grpo.Callbacks;
using Grpo.Testing;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>The file: what is written is read, and what is not whole or not right is told.</summary>
public sealed class FlightFileTests : IDisposable
{
    private const int Start = 8;
    private const int Head = 17;
    private const int Sum = 4;

    private readonly TemporaryFolder _folder = new();

    private string Path => _folder["flight.bin"];

    [Fact]
    public void Read_gives_what_was_appended()
    {
        FlightStep[] steps =
            [Full(1), Full(2) with { Groups = [], RewardWeights = null, Rounds = [], Updates = [], MicroBatchTokens = null }, Full(7)];
        Write(steps);

        using FlightRecord record = FlightRecord.Open(_folder.Path);
        Assert.Equal([1, 2, 7], record.Steps);
        Assert.False(record.IsCutShort);
        Assert.Equal(steps.Select(FlightText.Of), record.Steps.Select(step => FlightText.Of(record.Read(step))));
        FlightSettings settings = record.SettingsOf(7);
        Assert.Equal("0.05", settings.Options["GrpoOptions.LearningRate"]);
        Assert.Null(settings.Options["GrpoOptions.KlTarget"]);
        Assert.Equal("toy", settings.About["model"]);
    }

    [Fact]
    public void Read_gives_any_floats_to_the_last_bit()
    {
        Gen.Select(Gen.Float.Array[0, 20], Gen.Int.Array[0, 20]).Sample((sampler, bits) =>
        {
            float[] own = [.. sampler.Select((value, i) => i < bits.Length ? BitConverter.Int32BitsToSingle(bits[i]) : value)];
            FlightStep step = Full(1);
            FlightCompletion completion =
                step.Groups[0].Completions[0] with { SamplerLogProbs = sampler, LogProbs = own, ReferenceLogProbs = own };
            step = step with { Groups = [new FlightGroup("p", [1], [completion])], Rounds = [1] };
            FlightCompletion back = Decode(Encode(step)).Groups[0].Completions[0];

            return Bits(back.SamplerLogProbs!).SequenceEqual(Bits(sampler)) && Bits(back.LogProbs!).SequenceEqual(Bits(own))
                && Bits(back.ReferenceLogProbs!).SequenceEqual(Bits(own));
        }, iter: 500);

        static IEnumerable<int> Bits(IEnumerable<float> values) => values.Select(BitConverter.SingleToInt32Bits);
    }

    [Fact]
    public void OpenWrite_cuts_an_incomplete_record_away_at_every_length_and_goes_on()
    {
        FlightStep[] steps = [Full(1), Full(2)];
        byte[] whole = Write(steps);
        long[] ends = Ends();

        for (int length = 0; length < whole.Length; length++)
        {
            File.WriteAllBytes(Path, whole[..length]);
            int kept = ends.Count(end => end <= length);
            using (FlightRecord record = FlightRecord.Open(Path))
            {
                Assert.Equal(kept < 2 ? [] : kept < 3 ? [1] : new long[] { 1, 2 }, record.Steps);
                Assert.Equal(length != 0 && length != Start && !ends.Contains(length), record.IsCutShort);
            }

            using (FlightFile file = FlightFile.OpenWrite(Path))
            {
                Assert.Equal(kept, file.Frames.Count);
                Append(file, kept, steps);
            }

            Assert.Equal(whole, File.ReadAllBytes(Path));
        }
    }

    [Fact]
    public void OpenWrite_cuts_away_what_a_power_failure_left_without_content()
    {
        FlightStep[] steps = [Full(1), Full(2)];
        byte[] whole = Write(steps);
        long[] ends = Ends();

        foreach (long written in new[] { ends[1], ends[1] + Head, whole.Length - Sum, whole.Length - 1 })
        {
            byte[] zeros = new byte[whole.Length];
            whole.AsSpan(0, (int)written).CopyTo(zeros);
            File.WriteAllBytes(Path, zeros);
            using FlightFile file = FlightFile.OpenWrite(Path);

            Assert.Equal(1, file.LastStep);
            Assert.Equal(ends[1], new FileInfo(Path).Length);
        }
    }

    [Fact]
    public void A_flipped_bit_is_found_wherever_it_is()
    {
        byte[] whole = Write([Full(1), Full(2)]);
        var random = new Random(5);
        for (int position = 0; position < whole.Length; position++)
        {
            byte[] damaged = [.. whole];
            damaged[position] ^= (byte)(1 << random.Next(8));
            File.WriteAllBytes(Path, damaged);

            InvalidDataException problem = Assert.Throws<InvalidDataException>(() =>
            {
                using FlightRecord record = FlightRecord.Open(Path);
                record.SettingsOf(1);
                record.Read(1);
                record.Read(2);
            });
            Assert.Contains(Path, problem.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void OpenWrite_refuses_damage_that_is_not_at_the_end_and_leaves_the_file_as_it_is()
    {
        byte[] whole = Write([Full(1), Full(2)]);
        whole[Ends()[0] + 2] ^= 1; // the length of step 1
        File.WriteAllBytes(Path, whole);

        InvalidDataException problem = Assert.Throws<InvalidDataException>(() => FlightFile.OpenWrite(Path));
        Assert.Contains("move it away", problem.Message, StringComparison.Ordinal);
        Assert.Equal(whole, File.ReadAllBytes(Path));
    }

    [Fact]
    public void Open_tells_another_format_and_another_file()
    {
        File.WriteAllBytes(Path, [.. "GRPOFLT"u8, 2]);
        Assert.Contains(
            "has format 2; this version reads format 1", Assert.Throws<InvalidDataException>(() => FlightRecord.Open(Path)).Message,
            StringComparison.Ordinal);
        File.WriteAllText(Path, "something else");
        Assert.Contains(
            "is no flight record", Assert.Throws<InvalidDataException>(() => FlightRecord.Open(Path)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "no flight record at", Assert.Throws<FileNotFoundException>(() => FlightRecord.Open(_folder["none"])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Open_does_not_believe_a_length()
    {
        // A head that is right in itself and announces a gigabyte, in a file of 25 bytes.
        byte[] whole = Write([Full(1)]);
        byte[] head = whole[..(Start + Head)];
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(Start), 1 << 30);
        uint sum = Enumerable.Range(Start, 13).Aggregate(uint.MaxValue, (sum, i) => System.Numerics.BitOperations.Crc32C(sum, head[i]));
        BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(Start + 13), ~sum);
        File.WriteAllBytes(Path, head);

        long before = GC.GetAllocatedBytesForCurrentThread();
        using FlightRecord record = FlightRecord.Open(Path);
        Assert.Empty(record.Steps);
        Assert.True(record.IsCutShort);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public void Read_does_not_believe_a_count()
    {
        // Seed, hash, and then 2⁴⁰ rounds.
        var payload = new FlightWriter();
        payload.Number(1);
        payload.Raw(new byte[32]);
        payload.Number(1UL << 40);
        Append(payload);

        using FlightRecord record = FlightRecord.Open(Path);
        Assert.Contains(
            "1099511627776 things are announced where 0 bytes are left", Assert.Throws<InvalidDataException>(() => record.Read(1)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Read_of_wrong_bytes_under_a_right_checksum_gives_a_step_or_says_what_is_wrong()
    {
        byte[] payload = Encode(Full(1));
        int refused = 0;
        var random = new Random(3);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] wrong = [.. payload[..(i % 4 == 0 ? random.Next(payload.Length) : payload.Length)]];
            for (int change = random.Next(4); change > 0 && wrong.Length > 0; change--)
            {
                wrong[random.Next(wrong.Length)] = (byte)random.Next(256);
            }

            try
            {
                Decode(wrong);
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 5_000, 19_999);
    }

    // These went into an index of a tensor, and ended on a GPU in an assertion of the device.
    [Fact]
    public void Read_refuses_a_token_below_zero()
    {
        FlightStep step = Full(1);
        step = step with { Groups = [step.Groups[0] with { PromptTokenIds = [3, -1] }, step.Groups[1]] };
        Assert.Contains(
            "4294967295 is no token", Assert.Throws<InvalidDataException>(() => Decode(Encode(step))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(double.NaN, 0.5, "NaN is no reward")]
    [InlineData(double.NegativeInfinity, 0.5, "-Infinity is no reward")]
    [InlineData(1.1e18, 0.5, "1.1E+18 is no reward")]
    [InlineData(0.5, double.NaN, "NaN is no reward")]
    [InlineData(-1e18, 1e300, null)]
    public void Read_refuses_rewards_that_no_run_can_have(double value, double component, string? message)
    {
        FlightStep step = Full(1);
        FlightCompletion completion = step.Groups[0].Completions[0] with
        {
            Reward = new Reward(value) { Components = new Dictionary<string, double?> { ["form"] = component } },
        };
        step = step with { Groups = [new FlightGroup("p", [1], [completion])], Rounds = [1] };
        Exception? refusal = Record.Exception(() => Decode(Encode(step)));
        Assert.Equal(message is null, refusal is null);
        Assert.Contains(message ?? "", refusal?.Message ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public void OpenWrite_refuses_a_second_writer_and_lets_others_read()
    {
        FlightStep[] steps = [Full(1), Full(2)];
        byte[] whole = Write(steps);
        using (FlightFile writer = FlightFile.OpenWrite(Path))
        {
            Assert.Contains(
                "Another recorder is writing it", Assert.Throws<IOException>(() => FlightFile.OpenWrite(Path)).Message,
                StringComparison.Ordinal);
            using FlightRecord record = FlightRecord.Open(Path);
            Assert.Equal([1, 2], record.Steps);
        }

        FlightFile.OpenWrite(Path).Dispose();
        Assert.Equal(whole, File.ReadAllBytes(Path));
    }

    [Fact]
    public void OpenWrite_that_fails_leaves_no_lock_behind()
    {
        File.WriteAllText(Path, "something else");
        Assert.Throws<InvalidDataException>(() => FlightFile.OpenWrite(Path));
        File.Delete(Path);
        FlightFile.OpenWrite(Path).Dispose();
    }

    [Fact]
    public void Append_takes_no_step_twice_and_none_out_of_order()
    {
        Write([Full(3)]);
        using FlightFile file = FlightFile.OpenWrite(Path);

        Assert.Throws<InvalidOperationException>(() => file.Append(FlightKind.Step, 3, []));
        Assert.Contains(
            "has step 3 already and cannot take step 2",
            Assert.Throws<InvalidOperationException>(() => file.Append(FlightKind.Step, 2, [])).Message, StringComparison.Ordinal);
        Assert.Single(file.Frames, frame => frame.Kind == FlightKind.Step);
    }

    [Theory]
    [InlineData(0, new long[] { })]
    [InlineData(1, new long[] { 1 })]
    [InlineData(2, new long[] { 1 })]
    [InlineData(5, new long[] { 1, 3, 5 })]
    public void CutAfter_removes_the_later_steps(long step, long[] kept)
    {
        FlightStep[] steps = [Full(1), Full(3), Full(5)];
        Write(steps);
        using (FlightFile file = FlightFile.OpenWrite(Path))
        {
            file.CutAfter(step);
        }

        using FlightRecord record = FlightRecord.Open(Path);
        Assert.Equal(kept, record.Steps);
        Assert.All(
            kept, number => Assert.Equal(FlightText.Of(steps.Single(full => full.Step == number)), FlightText.Of(record.Read(number))));
    }

    [Fact]
    public void Read_names_the_steps_that_there_are()
    {
        Write([Full(1), Full(2), Full(3), Full(7)]);
        using FlightRecord record = FlightRecord.Open(Path);

        Assert.Contains(
            "Step 5 is not in", Assert.Throws<ArgumentOutOfRangeException>(() => record.Read(5)).Message, StringComparison.Ordinal);
        Assert.Contains(
            "its steps: 1-3, 7.", Assert.Throws<ArgumentOutOfRangeException>(() => record.SettingsOf(5)).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    /// <summary>A step with everything that a step can have, the two forms of each included.</summary>
    internal static FlightStep Full(long step) => new()
    {
        Step = step,
        Seed = ulong.MaxValue - 1,
        WeightHash = string.Concat(Enumerable.Repeat("0123456789abcdef", 4)),
        Rounds = [1, 1],
        RewardWeights = new Dictionary<string, double> { ["answer"] = 1, ["form"] = 0.5 },
        MicroBatchTokens = 36,
        Groups =
        [
            new FlightGroup("ä question", [5, 151643, 0],
            [
                new FlightCompletion
                {
                    TokenIds = [7, 128, 70_000],
                    FinishReason = FinishReason.EndToken,
                    SamplerLogProbs = [-0.25f, -0f, -12.5f],
                    MeanEntropy = 0.7,
                    Reward = new Reward(1.5)
                    {
                        Components = new Dictionary<string, double?> { ["answer"] = 1, ["form"] = null },
                        Verdict = "Correct",
                        IsCorrect = true,
                    },
                    Advantage = -0.125,
                    Part = FlightPart.Trained,
                    MicroBatch = 300,
                    LogProbs = [-0.25000003f, 1e-8f, -12.499999f],
                    ReferenceLogProbs = [-1, -2, float.NegativeInfinity],
                },
                new FlightCompletion
                {
                    TokenIds = [],
                    FinishReason = FinishReason.Truncated,
                    Reward = new Reward(0.1)
                    {
                        Components = new Dictionary<string, double?> { ["answer"] = 0, ["form"] = 0.2 },
                        Verdict = "Wrong",
                        IsCorrect = false,
                    },
                    Advantage = 0,
                    Part = FlightPart.Counted,
                },
            ]),
            new FlightGroup(string.Empty, [1],
            [
                new FlightCompletion
                {
                    TokenIds = [3],
                    FinishReason = FinishReason.EndToken,
                    Reward = Reward.Abstain,
                    Advantage = 0,
                    Part = FlightPart.Replaced,
                    LogProbs = [-3], // without the sampler's
                },
            ]),
        ],
        Updates =
        [
            new FlightUpdate { Loss = 1e-9, GradientNorm = 2, LearningRate = 1e-6 },
            new FlightUpdate
            {
                Loss = -1,
                Kl = 0.01,
                KlCoefficient = 0.04,
                GradientNorm = 900,
                LearningRate = 1e-6,
                SkipReason = "too large",
                EntropyThreshold = 0.3,
            },
        ],
    };

    private static byte[] Encode(FlightStep step)
    {
        var payload = new FlightWriter();
        FlightStepCodec.Write(payload, step);
        return payload.Written.ToArray();
    }

    private static FlightStep Decode(byte[] payload)
    {
        var reader = new FlightReader(payload);
        return FlightStepCodec.Read(ref reader, 1);
    }

    private byte[] Write(IReadOnlyList<FlightStep> steps)
    {
        using (FlightFile file = FlightFile.OpenWrite(Path))
        {
            Append(file, 0, steps);
        }

        return File.ReadAllBytes(Path);
    }

    // The settings, then the steps, without the first so many of them.
    private static void Append(FlightFile file, int skip, IReadOnlyList<FlightStep> steps)
    {
        if (skip == 0)
        {
            var settings = new FlightWriter();
            FlightSettings.From(Toy.Options, new Dictionary<string, string> { ["model"] = "toy" }).Write(settings);
            file.Append(FlightKind.Settings, 0, settings.Written);
        }

        foreach (FlightStep step in steps.Skip(skip - 1))
        {
            file.Append(FlightKind.Step, step.Step, Encode(step));
        }
    }

    private void Append(FlightWriter payload)
    {
        using FlightFile file = FlightFile.OpenWrite(Path);
        file.Append(FlightKind.Step, 1, payload.Written);
    }

    // Where each record ends.
    private long[] Ends()
    {
        using FlightFile file = FlightFile.OpenRead(Path);
        return [.. file.Frames.Select(frame => frame.Position + Head + frame.Length + Sum)];
    }
}
