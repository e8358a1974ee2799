using System.Text.Json;
using Grpo.Models.Qwen.RewardModels;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Scores of reward models against references; the data's README describes the numbers and the tolerances.</summary>
public sealed class RewardModelGoldenTests
{
    private const double Tolerance = 1e-4;

    private static readonly string[] Models = ["reward-qwen2", "reward-qwen3"];

    public static TheoryData<string> Names => [.. Models];

    public static TheoryData<string, string> Spellings
    {
        get
        {
            var spellings = new TheoryData<string, string>();
            foreach (string model in Models)
            {
                spellings.Add(model, "config.json");
                spellings.Add(model, "config-other-spelling.json");
                spellings.Add(model, "config-mixed-spelling.json");
            }

            return spellings;
        }
    }

    [SharedTheory]
    [MemberData(nameof(Spellings))]
    public void Scores_equal_the_reference_on_both_padding_sides(string name, string spelling)
    {
        using var folder = new TemporaryFolder();
        File.Copy(Path.Combine(Folder(name), "model.safetensors"), folder.File("model.safetensors"));
        File.Copy(Path.Combine(Folder(name), spelling), folder.File("config.json"));
        var config = RewardModelConfig.Load(folder.Path);
        using ScoreModel model = Load(folder.Path, config);
        Case[] cases = [.. Cases(name)];
        Assert.Equal(["left", "right"], cases.Select(entry => entry.Side).Distinct().Order(StringComparer.Ordinal));
        Assert.Equal(6, cases.Length);
        foreach (Case entry in cases)
        {
            int[] positions = [.. entry.Ids.Select(row => ScoreModel.PositionOf(row, config.PadTokenId))];
            Assert.Equal(entry.ScoreIndex, positions);
            using var scope = TensorScope.BeginNoGrad();
            float[] scores = model.Scores(Batch(entry.Ids), Batch(entry.Mask), positions);
            AssertNear(entry.Scores, scores, Tolerance, $"{entry.Kind}, {entry.Side}");
        }
    }

    // What a run does: texts without padding, sorted and batched here.
    [SharedTheory]
    [MemberData(nameof(Names))]
    public void Batched_scores_equal_the_reference_and_those_of_single_texts(string name)
    {
        var config = RewardModelConfig.Load(Folder(name));
        using ScoreModel model = Load(Folder(name), config);
        (int[] Ids, double Score)[] texts =
        [
            .. Cases(name).SelectMany(entry => entry.Ids.Zip(entry.Mask, (row, mask) => row.Where((_, i) => mask[i] == 1).ToArray())
                .Zip(entry.Scores, (ids, score) => (ids, score))),
        ];
        double[] expected = [.. texts.Select(text => text.Score)];
        IReadOnlyList<int>[] ids = [.. texts.Select(text => text.Ids)];
        float[] single = [.. ids.Select(row => Score([row], 1).Single())];
        AssertNear(expected, single, Tolerance, "single");
        foreach (int budget in (int[])[16, 40, 16_384])
        {
            float[] batched = Score(ids, budget);
            AssertNear(expected, batched, Tolerance, $"batches of {budget} tokens");
            AssertNear([.. single.Select(score => (double)score)], batched, 1e-5, $"batches of {budget} tokens");
        }

        float[] Score(IReadOnlyList<IReadOnlyList<int>> rows, int budget) => new TextScorer(model, config.PadTokenId, budget).Score(rows);
    }

    // bfloat16 rounds a number by up to 2^-9 of it, float16 by 2^-12. Scores are sums of about 40 products, after two layers of such sums.
    [SharedTheory]
    [InlineData("reward-qwen2", ScalarType.BFloat16, ScalarType.Float32, 0.03)]
    [InlineData("reward-qwen2", ScalarType.BFloat16, ScalarType.BFloat16, 0.03)]
    [InlineData("reward-qwen2", ScalarType.Float16, ScalarType.Float32, 2e-3)]
    [InlineData("reward-qwen3", ScalarType.BFloat16, ScalarType.Float32, Tolerance)] // stored in bfloat16, so nothing is rounded
    [InlineData("reward-qwen3", ScalarType.BFloat16, ScalarType.BFloat16, 0.03)]
    public void Scores_of_16_bit_weights_differ_by_rounding(string name, ScalarType weights, ScalarType compute, double tolerance)
    {
        var config = RewardModelConfig.Load(Folder(name));
        using ScoreModel model = ScoreModel.Load(Folder(name), config.Decoder, CPU, weights, compute);
        Assert.All(model.Weights(), entry => Assert.Equal(weights, entry.Weight.dtype));
        foreach (Case entry in Cases(name))
        {
            using var scope = TensorScope.BeginNoGrad();
            float[] scores = model.Scores(Batch(entry.Ids), Batch(entry.Mask), entry.ScoreIndex);
            AssertNear(entry.Scores, scores, tolerance, $"{entry.Kind}, {entry.Side}");
        }
    }

    private static string Folder(string name) => SharedData.Path("golden", "families", name);

    private static ScoreModel Load(string folder, RewardModelConfig config) =>
        ScoreModel.Load(folder, config.Decoder, CPU, ScalarType.Float32, ScalarType.Float32);

    private static Tensor Batch(int[][] rows) =>
        tensor(rows.SelectMany(row => row).Select(id => (long)id).ToArray(), [rows.Length, rows[0].Length]);

    private static IEnumerable<Case> Cases(string name)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(SharedData.Path("golden", "families", "reward.json")));
        JsonElement model = document.RootElement.GetProperty("models").EnumerateArray()
            .Single(entry => entry.GetProperty("model").GetString() == name);
        foreach (JsonElement entry in model.GetProperty("cases").EnumerateArray())
        {
            yield return new Case(
                entry.GetProperty("kind").GetString()!,
                entry.GetProperty("side").GetString()!,
                Rows(entry.GetProperty("input_ids")),
                Rows(entry.GetProperty("attention_mask")),
                Row(entry.GetProperty("score_index")),
                [.. entry.GetProperty("scores").EnumerateArray().Select(score => score.GetDouble())]);
        }

        static int[] Row(JsonElement row) => [.. row.EnumerateArray().Select(id => id.GetInt32())];

        static int[][] Rows(JsonElement rows) => [.. rows.EnumerateArray().Select(Row)];
    }

    private static void AssertNear(double[] expected, float[] actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        double difference = expected.Zip(actual, (one, other) => Math.Abs(one - other)).Max();
        Assert.True(difference <= tolerance, $"{what}: largest difference {difference:E2}, allowed {tolerance:E2}.");
    }

    private sealed record Case(string Kind, string Side, int[][] Ids, int[][] Mask, int[] ScoreIndex, double[] Scores);
}
