using System.Text.Json;
using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// Logits, log-probs, losses and gradients of every family against references; tolerances are those that the data's READMEs state.
/// </summary>
public sealed class ForwardGoldenTests
{
    private const double ShortTolerance = 1e-4;
    private const double LongTolerance = 2e-4;
    private const double LossTolerance = 1e-5;

    public static TheoryData<string, string> PaddedBatches => Batches(GoldenModel.WithLosses, "left", "right");

    public static TheoryData<string> Models => [.. GoldenModel.WithLosses];

    public static TheoryData<string> AllModels => [.. GoldenModel.WithLosses, .. GoldenModel.Scaled];

    public static TheoryData<string, string> ScaledBatches => Batches(GoldenModel.Scaled, "left");

    [SharedTheory]
    [MemberData(nameof(PaddedBatches))]
    [MemberData(nameof(ScaledBatches))]
    public void Logits_equal_the_reference_at_real_tokens(string name, string side)
    {
        using var golden = new GoldenModel(name);
        using var scope = TensorScope.BeginNoGrad();
        Tensor mask = golden[$"{side}.attention_mask"];
        Tensor logits = golden.Model.call(golden[$"{side}.input_ids"], mask) * mask.unsqueeze(2);
        TensorAssert.Near(golden[$"{side}.logits"], logits, ShortTolerance, "logits");
    }

    [SharedTheory]
    [MemberData(nameof(PaddedBatches))]
    public void LogProbs_and_loss_equal_the_reference(string name, string side)
    {
        using var golden = new GoldenModel(name);
        using var scope = TensorScope.BeginNoGrad();
        (Tensor logProbs, Tensor loss) = NextTokenLoss(golden, side);
        TensorAssert.Near(golden[$"{side}.next_logps"], logProbs, ShortTolerance, "log-probs");
        TensorAssert.Near(golden[$"{side}.loss"], loss.reshape(1), LossTolerance, "loss");
        Assert.Equal(golden.Summary.GetProperty(side).GetProperty("loss").GetDouble(), loss.item<float>(), LossTolerance);
    }

    [SharedTheory]
    [MemberData(nameof(Models))]
    public void Gradients_equal_the_reference(string name)
    {
        using var golden = new GoldenModel(name);
        using var scope = TensorScope.Begin();
        NextTokenLoss(golden, "left").Loss.backward();
        Dictionary<string, Parameter> parameters = golden.Model.named_parameters()
            .ToDictionary(named => named.name, named => named.parameter);
        string[] given = [.. golden.Entries.Where(entry => entry.StartsWith("left.grad.", StringComparison.Ordinal))];
        Assert.NotEmpty(given);
        foreach (string entry in given)
        {
            Tensor expected = golden[entry];
            double largest = expected.abs().max().item<float>();
            TensorAssert.Near(expected, parameters[entry["left.grad.".Length..]].grad!, 1e-4 * largest, entry);
        }
    }

    [SharedTheory]
    [MemberData(nameof(PaddedBatches))]
    public void Gradient_norms_of_every_parameter_equal_the_reference(string name, string side)
    {
        using var golden = new GoldenModel(name);
        using var scope = TensorScope.Begin();
        NextTokenLoss(golden, side).Loss.backward();
        JsonElement summary = golden.Summary.GetProperty(side);
        Dictionary<string, double> actual = golden.Model.named_parameters()
            .ToDictionary(named => named.name, named => (double)named.parameter.grad!.norm().item<float>());
        Dictionary<string, double> expected = summary.GetProperty("grad_l2_norms").EnumerateObject()
            .ToDictionary(norm => norm.Name, norm => norm.Value.GetDouble());
        Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), actual.Keys.Order(StringComparer.Ordinal));
        foreach ((string parameter, double norm) in expected)
        {
            Assert.True(Math.Abs(norm - actual[parameter]) <= 1e-4 * norm, $"{parameter}: norm {actual[parameter]}, expected {norm}.");
        }

        double whole = Math.Sqrt(actual.Values.Sum(norm => norm * norm));
        Assert.Equal(1, whole / summary.GetProperty("grad_norm_all_parameters").GetDouble(), 1e-4);
    }

    [SharedTheory]
    [MemberData(nameof(AllModels))]
    public void A_long_sequence_equals_the_reference(string name)
    {
        using var golden = new GoldenModel(name);
        using var scope = TensorScope.BeginNoGrad();
        Tensor tokenIds = golden["long.input_ids"];                                                      // [1, L]
        Tensor logits = golden.Model.call(tokenIds, null);
        TensorAssert.Near(golden["long.last4_logits"], logits.narrow(1, logits.shape[1] - 4, 4), golden.LongLogitTolerance, "logits");

        Tensor hidden = golden.Model.Hidden(tokenIds).squeeze(0);
        long predictions = hidden.shape[0] - 1;
        Tensor targets = tokenIds.squeeze(0).narrow(0, 1, predictions);
        Tensor logProbs = TokenLogProbs.Compute(hidden.narrow(0, 0, predictions), golden.Model.HeadWeight, targets, 1, chunkRows: 64);
        TensorAssert.Near(golden["long.next_logps"], logProbs.unsqueeze(0), LongTolerance, "log-probs");
    }

    [SharedTheory]
    [MemberData(nameof(AllModels))]
    public void Policy_log_probs_equal_the_reference_wherever_the_prompt_ends(string name)
    {
        using var golden = new GoldenModel(name);
        using var policy = new QwenPolicy(golden.Model);
        using var scope = TensorScope.BeginNoGrad();
        // The longest row of the left-padded batch, cut after the prompt's first token, in the middle, and before the last.
        long[] lengths = golden["left.attention_mask"].sum(1).data<long>().ToArray();
        int longest = Array.IndexOf(lengths, lengths.Max()), length = (int)lengths.Max();
        Assert.True(length >= 4, $"No row of the reference has three places to cut: the longest has {length} tokens.");
        long[] tokens = golden["left.input_ids"][longest].data<long>().ToArray()[^length..];
        float[] expected = golden["left.next_logps"][longest].data<float>().ToArray()[^(length - 1)..];
        var rows = new[] { 1, length / 2, length - 1 }
            .Select(cut => new TokenSequence(ToInts(tokens[..cut]), ToInts(tokens[cut..]))).ToArray();
        TokenBatch batch = TokenBatchBuilder.Build(rows, padTokenId: 0, CPU);
        Tensor logProbs = policy.LogProbs(batch, temperature: 1);                                        // [3, length − 1]
        Assert.Equal([3, length - 1], logProbs.shape);
        for (int row = 0; row < 3; row++)
        {
            int cut = rows[row].PromptIds.Count;
            float[] padded = [.. expected[(cut - 1)..], .. new float[cut - 1]];
            TensorAssert.Near(tensor(padded), logProbs[row], ShortTolerance, $"prompt of {cut}");
        }
    }

    /// <summary>log p(token t + 1 | tokens to t), 0 where masked, [B, L − 1], and minus their mean; by the chunked computation.</summary>
    private static (Tensor LogProbs, Tensor Loss) NextTokenLoss(GoldenModel golden, string side)
    {
        Tensor tokenIds = golden[$"{side}.input_ids"];
        Tensor nextMask = golden[$"{side}.next_mask"];
        (long rows, long length) = (nextMask.shape[0], nextMask.shape[1]);
        Tensor real = nextMask.reshape(-1).nonzero().squeeze(1);
        Tensor hidden = golden.Model.Hidden(tokenIds, golden[$"{side}.attention_mask"]).narrow(1, 0, length);
        Tensor logProbs = TokenLogProbs.Compute(
            hidden.reshape(rows * length, -1).index_select(0, real),
            golden.Model.HeadWeight,
            tokenIds.narrow(1, 1, length).reshape(-1).index_select(0, real),
            temperature: 1,
            chunkRows: 7);
        return (zeros(rows * length).scatter(0, real, logProbs).view(rows, length), -logProbs.mean());
    }

    private static TheoryData<string, string> Batches(IReadOnlyList<string> models, params string[] sides)
    {
        var batches = new TheoryData<string, string>();
        foreach (string model in models)
        {
            foreach (string side in sides)
            {
                batches.Add(model, side);
            }
        }

        return batches;
    }

    private static int[] ToInts(long[] ids) => [.. ids.Select(id => (int)id)];
}
