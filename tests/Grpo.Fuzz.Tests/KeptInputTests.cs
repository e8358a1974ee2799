using System.Diagnostics;
using System.Text;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.Hub;
using Grpo.IO;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;
using Grpo.Optimization;
using Grpo.Rewards;
using Grpo.Rewards.Reading;
using Grpo.Tensors;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Fuzz.Tests;

/// <summary>Minimal inputs that once caused an undocumented result.</summary>
public sealed class KeptInputTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // Once caused an InvalidOperationException in the JSON reader, or an ArgumentException.
    [Theory]
    [InlineData("\\ud800", "half a surrogate pair")]
    [InlineData("\\udc00", "half a surrogate pair")]
    [InlineData("x\", \"\\ud800\": \"1", "half a surrogate pair")]
    public void Configuration_with_half_a_surrogate_pair_is_refused(string text, string message)
    {
        string json = $$"""{"model_type": "qwen2", "hidden_act": "{{text}}"}""";
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(json)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Configuration_that_is_no_text_is_refused() =>
        Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse("{\"model_type\": \"\uD800\"}"));

    // Once ended a resumed run with an InvalidOperationException.
    [Fact]
    public void Line_of_a_log_with_half_a_surrogate_pair_in_a_name_is_left_alone()
    {
        string path = _folder["metrics.jsonl"], kept = "{\"\\udc00abc\":1}\n{\"step\":1}\n";
        File.WriteAllText(path, kept + "{\"step\":3}\n");
        using (var file = new JsonLinesFile(path))
        {
            file.DropAfter(2);
        }

        Assert.Equal(kept, File.ReadAllText(path));
    }

    // The first made steps without prompts, because the end of the walk overflowed. The second compared entropies with infinity.
    [Theory]
    [InlineData("null", "9223372036854775807", "it is at position 9223372036854775807;")]
    [InlineData("1e999", "null", "the first entropy is not a finite number.")]
    public void Trainer_state_with_numbers_that_no_run_can_reach_is_refused(string entropy, string position, string message)
    {
        File.WriteAllText(_folder["trainer_state.json"],
            $$"""{"format":1,"best_step":null,"evaluations":[],"first_entropy":{{entropy}},"entropies":[],"roll_backs":0,"collapse":null"""
            + $$""","position":{{position}},"pass_rates":{ } }""");
        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => TrainerState.Read(_folder.Path)).Message, StringComparison.Ordinal);
    }

    // Allocated two gigabytes. The library takes 1,936,432,741 for the length of a text, whatever kind the file states.
    [Fact]
    public void Parquet_page_whose_statistics_are_numbers_is_refused_before_the_library_reads_them()
    {
        byte[] length = [0xE5, 0xDC, 0xAE, 0x9B, 0x07];
        byte[] header =
        [
            0x15, 0x00, 0x15, 0x0A, 0x15, 0x0A, 0x2C, 0x15, 0x06, 0x15, 0x00, 0x15, 0x06, 0x15, 0x06, 0x1C, 0x16, .. length,
            0x00, 0x00, 0x00,
        ];
        var pages = new ParquetPages(new byte[4].Concat(header).Concat(new byte[8]).ToArray());
        Assert.Contains(
            "its metadata is damaged near byte 17", Assert.Throws<InvalidDataException>(() => pages.Check(4, 3)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(5, 5, 3, null)]
    [InlineData(1 << 30, 5, 3, "would unpack to 1073741824 bytes")]
    [InlineData(5, 1 << 20, 3, "declares 1048576 bytes")]
    [InlineData(5, -1, 3, "declares -1 bytes")]
    [InlineData(-1, 5, 3, "-1 unpacked")]
    [InlineData(5, 5, 1 << 30, "declares 1073741824 values")]
    [InlineData(5, 5, -3, "declares -3 values")]
    [InlineData(5, 5, 2, "a page would begin at byte")]
    public void Parquet_page_that_announces_more_than_the_file_holds_is_refused(int unpacked, int packed, int values, string? message)
    {
        byte[] header =
        [
            0x15, 0x00, 0x15, .. Varint(unpacked), 0x15, .. Varint(packed), 0x2C, 0x15, .. Varint(values), 0x15, 0x00, 0x15,
            0x06, 0x15, 0x06, 0x00, 0x00,
        ];
        var pages = new ParquetPages(new byte[4].Concat(header).Concat(new byte[5]).ToArray());
        Exception? refusal = Record.Exception(() => pages.Check(4, 3));
        Assert.Equal(message is null, refusal is null);
        Assert.Contains(message ?? "", refusal?.Message ?? "", StringComparison.Ordinal);
    }

    // All pairs collided in the hash table. It took seconds for a hundred thousand, and would take hours for a whole vocabulary.
    [Fact]
    public void Merges_whose_ids_were_chosen_to_collide_load_in_linear_time()
    {
        TimeSpan best = TimeSpan.MaxValue;
        for (int attempt = 0; attempt < 3 && best > TimeSpan.FromSeconds(1); attempt++)
        {
            long start = Stopwatch.GetTimestamp();
            var merges = new MergeTable(100_000);
            for (int left = 0; left < 100_000; left++)
            {
                Assert.True(merges.TryAdd(left, left ^ 0x1FFFF, new Merge(left, left)));
            }

            Assert.True(merges.TryGet(17, 17 ^ 0x1FFFF, out Merge merge) && merge.Rank == 17);
            best = Stopwatch.GetElapsedTime(start) < best ? Stopwatch.GetElapsedTime(start) : best;
        }

        Assert.True(best < TimeSpan.FromSeconds(1), $"{best}");
    }

    // Messages contained text of the file: escape sequences, bidirectional marks, zeros.
    [Fact]
    public void Messages_about_files_are_fit_for_a_terminal()
    {
        const string Name = "\u001b[31m\u202E\u0007";
        string escaped = @"\u001b[31m\u202e\u0007";
        File.WriteAllText(_folder["vocab.json"], "{\"" + escaped + "\": 0}");
        File.WriteAllText(_folder["merges.txt"], Name + " a\n");
        File.WriteAllText(_folder["train.jsonl"], "{\"question\":\"q\",\"answer\":\"" + escaped + "\"}");
        File.WriteAllText(_folder["raw.jsonl"], "{\"question\":n" + Name + "}");
        File.WriteAllText(_folder["evaluation.json"], "{\"" + escaped + "\":n" + Name + "}");
        byte[] header = Encoding.UTF8.GetBytes("{\"" + escaped + "\":1}");
        File.WriteAllBytes(_folder["model.safetensors"], [.. BitConverter.GetBytes((long)header.Length), .. header]);
        Action[] reads =
        [
            () => QwenTokenizer.Load(_folder.Path), () => Gsm8kDataset.Load(_folder["train.jsonl"]),
            () => Gsm8kDataset.Load(_folder["raw.jsonl"]),
            () => EvaluationFile.Read(_folder["evaluation.json"]), () => SafetensorsReader.Open(_folder["model.safetensors"]),
            () => DecoderConfig.Parse("{\"model_type\":\"" + escaped + "\"}"), () => DecoderConfig.Parse("{\"a\":n" + Name + "}"),
            () => throw new HubException(Name),
            () => throw new RewardException("r", Name, 1, "threw FormatException (" + Name + ")"),
            () => Recorded(Name, "1").ToOptions(), () => Recorded("GrpoOptions.LearningRate", Name).ToOptions(),
            () => new Gsm8kReward().Score(new Prompt { Id = Name, Messages = [] }, Answer),
            () => new TheLmBookReward().Score(new Prompt { Id = Name, Messages = [] }, Answer),
            () => throw new TrainingDivergedException(new TrainingRow(default, 0, Answer, Name, 0).Title),
        ];
        Assert.All(reads, read =>
        {
            string message = Record.Exception(read)!.Message;
            Assert.Equal(TerminalText.Escape(message), message);
            Assert.Contains(@"\u{1B}", message, StringComparison.Ordinal);
        });
    }

    private static Completion Answer => new([1], "2", FinishReason.EndToken);

    private static FlightSettings Recorded(string name, string text) =>
        new() { Options = new Dictionary<string, string?> { [name] = text }, About = new Dictionary<string, string>() };

    // Zigzag encoding puts the sign into the lowest bit. Each byte has seven bits of the number.
    internal static byte[] Varint(long number)
    {
        ulong value = (ulong)((number << 1) ^ (number >> 63));
        List<byte> bytes = [];
        for (; value >= 0x80; value >>= 7)
        {
            bytes.Add((byte)(value | 0x80));
        }

        return [.. bytes, (byte)value];
    }
}
