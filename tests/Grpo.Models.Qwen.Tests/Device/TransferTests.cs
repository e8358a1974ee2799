using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Rollouts;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// The waits for the device on the path of a GPU: one per token step of a rollout and one per micro-batch of an update. The path runs here
/// on a CPU, and its results are those of the CPU's own path.
/// </summary>
public sealed class TransferTests
{
    private static readonly SamplingOptions Plain = new() { MaxCompletionTokens = 9 };
    private static readonly SamplingOptions Filtered =
        new() { MaxCompletionTokens = 9, TopK = 12, TopP = 0.9, MinP = 0.01, RepetitionPenalty = 1.2, Temperature = 0.8 };

    [Theory]
    [InlineData("qwen2", false, 64)]
    [InlineData("qwen2", false, 5)]                    // more rows than are decoded at a time: rows leave and prompts are admitted
    [InlineData("qwen2", true, 5)]
    [InlineData("qwen3", false, 5)]
    [InlineData("llama with biases", true, 64)]
    public void Rollout_waits_once_per_pass_and_samples_the_same(string family, bool filtered, int maxRows)
    {
        using var policy = new QwenPolicy(TinyModels.Uneven(TinyModels.CpuConfig(family: family)));
        SamplingOptions sampling = filtered ? Filtered : Plain;
        RolloutRow[][] expected = Rows(), actual = Rows();
        Decode(new CountingPolicy(policy), sampling, expected, maxRows);
        var counted = new CountingPolicy(policy);
        using (DeviceTransfer.TreatCpuAsDevice())
        using (TransferCount count = DeviceTransfer.Count())
        {
            Decode(counted, sampling, actual, maxRows);
            Assert.Equal(counted.Passes, count.Waits);
        }

        Assert.True(counted.Passes >= 9, $"{counted.Passes} passes");
        Assert.Equal(Ids(expected), Ids(actual));
    }

    [Fact]
    public void Rollout_with_one_more_transfer_is_found()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        var counted = new CountingPolicy(policy, extra: logits => DeviceTransfer.ToNumber<float>(logits.sum()));
        using IDisposable device = DeviceTransfer.TreatCpuAsDevice();
        using TransferCount count = DeviceTransfer.Count();
        Decode(counted, Plain, Rows(), maxRows: 64);
        Assert.Equal(2 * counted.Passes, count.Waits);
    }

    // Two more waits per update are those of the gradient norm and of the check that the weights are finite.
    [Theory]
    [InlineData(true, false, false, 1)]
    [InlineData(false, false, false, 1)]
    [InlineData(true, true, false, 2)]
    [InlineData(false, true, true, 1)]
    [InlineData(true, true, true, 2)]
    public void Update_waits_once_per_micro_batch_and_changes_no_weight(bool shared, bool hasKl, bool hasEntropy, int updates)
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using var same = new QwenPolicy(TinyModels.Create());
        using var reference = new QwenReferenceModel(TinyModels.Create(seed: 9));
        using GrpoOptimizer optimizer = Optimizer(policy, reference, shared, hasKl, hasEntropy, updates);
        using GrpoOptimizer other = Optimizer(same, reference, shared, hasKl, hasEntropy, updates);
        optimizer.Update(Groups()); // the first one also describes the weights, for the identity of the run
        other.Update(Groups());
        IReadOnlyList<UpdateReport> expected = other.Update(Groups()), reports;
        using (DeviceTransfer.TreatCpuAsDevice())
        using (TransferCount count = DeviceTransfer.Count())
        {
            reports = optimizer.Update(Groups());
            // 6 rows in micro-batches of 2
            Assert.Equal(updates * (3 + 2), count.Waits);
        }

        Assert.Equal(expected.Select(report => report.Loss), reports.Select(report => report.Loss));
        foreach ((Parameter mine, Parameter theirs) in policy.Module.parameters().Zip(same.Module.parameters()))
        {
            TensorAssert.Identical(theirs, mine, "weight");
        }
    }

    [Fact]
    public void Sequences_of_a_batch_are_unknown_once_a_tensor_is_replaced()
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new([1, 2], [3]), new([1, 2], [])], 0, CPU, sharePrompts: true);
        Assert.Equal([3], batch.Sequences![0].CompletionIds);
        Assert.Equal([0, 0], batch.SharedPrompts!.Assignment);
        Assert.Null((batch with { CompletionIds = batch.CompletionIds + 1 }).Sequences);
        Assert.Null((batch.SharedPrompts with { PromptOfRow = zeros(2, ScalarType.Int64) }).Assignment);
        Assert.NotNull((batch with { SharedPrompts = null }).Sequences);
    }

    private static void Decode(CountingPolicy policy, SamplingOptions sampling, RolloutRow[][] groups, int maxRows) =>
        new ContinuousDecoder(policy, padTokenId: 0, new HashSet<int> { 3, 4 }, sampling).Run(groups, maxRows, CancellationToken.None);

    private static RolloutRow[][] Rows() =>
        [.. new int[][] { [1, 2, 3], [5], [9, 8, 7, 6], [2, 2] }.Select((prompt, i) => Enumerable.Range(0, 3)
            .Select(sample => new RolloutRow(prompt, new CompletionBuilder(CounterRandom.Key(5, 1, $"p{i}", sample)))).ToArray())];

    private static int[][] Ids(RolloutRow[][] groups) => [.. groups.SelectMany(rows => rows).Select(row => row.Completion.Ids.ToArray())];

    private static GrpoOptimizer Optimizer(
        QwenPolicy policy, QwenReferenceModel reference, bool shared, bool hasKl, bool hasEntropy, int updates) =>
        new(policy, new PolicyGroupSampler(new CharTokenizer("ab"), new PlainTemplate()),
            RewardFunction.Create("none", (_, _) => 0), new GrpoOptions
            {
                MicroBatchSize = 2,
                SharePrompts = shared,
                KlCoefficient = hasKl ? 0.1 : 0,
                EntropyCoefficient = hasEntropy ? 0.01 : 0,
                UpdatesPerRollout = updates,
                LearningRate = 1e-3,
            }, reference);

    private static ScoredGroup[] Groups()
    {
        RolloutGroup Group(string id, int[] prompt, params int[][] completions) => new(
            Prompt.Create(id, id), prompt, [.. completions.Select(ids => new Completion(ids, "", FinishReason.EndToken))]);
        return
        [
            new ScoredGroup(Group("a", [1, 2, 3], [4, 5], [6, 7, 8, 9], [1]), [1, 0, 0.5], [1, -1, 0.5]),
            new ScoredGroup(Group("b", [5], [4], [6, 7], [1, 2, 3, 4, 5]), [1, 0, 0.5], [1, -1, 0.5]),
        ];
    }
}
