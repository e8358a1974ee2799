using Grpo.Rewards;
using Grpo.Rewards.Answers;
using Parquet;
using Parquet.Schema;

namespace Grpo.Fuzz.Tests;

/// <summary>The readers of data sets and of a model's answers.</summary>
internal static class RewardTargets
{
    private const string Rows =
        "{\"question\":\"Mia has 2 cups and gets 3. How many?\",\"answer\":\"2+3 = <<2+3=5>>5\\n#### 5\"}\n"
        + "{\"question\":\"And 1,080 \\u00e9?\",\"answer\":\"#### 1,080\",\"other\":[1,{}]}\r\n\n";

    public static IEnumerable<FuzzTarget> All()
    {
        yield return new(
            "data set, jsonl", 5, [new(FuzzPart.Json("train.jsonl", Rows))],
            Folder.Reading("jsonl", folder => ReadRows(Path.Combine(folder, "train.jsonl"))), typeof(InvalidDataException));
        yield return new("data set, parquet", 6,
            [
                Parquet(CompressionMethod.Snappy), Parquet(CompressionMethod.None), Parquet(CompressionMethod.Gzip),
                Parquet(CompressionMethod.Zstd),
            ],
            Folder.Reading("parquet", folder => ReadRows(Path.Combine(folder, "train.parquet"))), typeof(InvalidDataException));
        yield return new("answer of a model", 12, TrainingTargets.Texts(
            "<reasoning>\n40 + 2 = 42\n</reasoning>\n<answer>\n42\n</answer>", "It is 40 + 2.\n#### 1,080",
            "so \\boxed{\\frac{84}{2}} apples", "The answer is -$42.50 per day.", "<answer>3 1/2</answer>",
            "\\(x = \\mathbf{1{,}080}^{\\circ}\\) and 12\\,\\text{ cm}^2",
            "<answer>$2\\tfrac12\\times 10^{3}$ US$ &#8239;m&sup2;</answer>"), ReadAnswer);
    }

    private static void ReadRows(string path) =>
        Assert.All(Gsm8kDataset.Load(path), prompt => Assert.True(ExactNumber.TryParse(prompt.Answer, out _)));

    private static FuzzInput Parquet(CompressionMethod compression) =>
        Folder.Written(folder => WriteAsync(Path.Combine(folder, "train.parquet"), compression).GetAwaiter().GetResult());

    private static async Task WriteAsync(string path, CompressionMethod compression)
    {
        var schema = new ParquetSchema(new DataField<string>("question"), new DataField<string>("answer"));
        await using FileStream file = File.Create(path);
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(
            schema, file, new ParquetOptions { CompressionMethod = compression });
        for (int group = 0; group < 2; group++)
        {
            using ParquetRowGroupWriter rows = writer.CreateRowGroup();
            await rows.WriteAsync(schema.DataFields[0], new[] { "Mia has 2 cups and gets 3. How many?", "q2", "q2" });
            await rows.WriteAsync(schema.DataFields[1], new[] { "2+3 = <<2+3=5>>5\n#### 5", "#### 2", "#### 2" });
        }
    }

    private static void ReadAnswer(FuzzInput input)
    {
        string text = input.Text;
        var prompt = Prompt.Create("p", "1 + 1?", answer: "42");
        foreach (FinishReason reason in new[] { FinishReason.EndToken, FinishReason.Truncated })
        {
            var completion = new Completion([1, 2], text, reason);
            foreach (AnswerFormat format in Enum.GetValues<AnswerFormat>())
            {
                Reward reward = new Gsm8kReward(new Gsm8kRewardOptions { Format = format }).Score(prompt, completion);
                Assert.InRange(reward.Value!.Value, -1, 1);
                Gsm8kExtraction found = Gsm8kAnswer.Extract(text, format);
                Assert.True(found.Number is not null ^ found.Refusal is not null);
            }

            Assert.InRange(new TheLmBookReward().Score(prompt, completion).Value!.Value, 0, 2.8 + 1e-9);
            Assert.InRange(new FormatReward().Score(prompt, completion).Value!.Value, 0, 1);
        }

        Assert.Equal(Gsm8kAnswer.TryGetGold(text, out string gold), gold.Length > 0);
        Assert.True(ExactNumber.TryParse(text, out ExactNumber number) || number == default);
    }
}
