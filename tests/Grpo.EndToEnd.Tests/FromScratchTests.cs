using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Samples.FromScratch;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// samples/FromScratch writes the method with TorchSharp alone. On the same completions it must compute what the library computes.
/// </summary>
public sealed class FromScratchTests
{
    private const int Prompts = 4, Group = 8;
    private const double KlCoefficient = 0.04, ClipRange = 0.1, LearningRate = 1e-2, WeightDecay = 0.01;

    // Keys' biases have a gradient of 0 but for rounding, which AdamW would scale up to a whole step without it.
    private const double AdamEpsilon = 1e-3;

    // Both sides compute in float32 and sum some thousand products in another order: 1e-5 of a value is a hundred roundings.
    private const double Relative = 1e-5;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Loss_and_gradients_equal_those_of_the_optimizer(long seed)
    {
        random.manual_seed(seed);
        using var policy = new TinyTransformer();
        using var reference = new TinyTransformer(); // other weights: the KL term is not 0
        using var twin = new TinyTransformer();
        twin.load_state_dict(policy.state_dict());
        using Sampled sampled = Sampled.From(policy);
        Assert.Contains(sampled.Mask.data<float>(), value => value == 0); // some end early: the mask matters

        // The library's side: the same completions, in two optimizer steps on one rollout.
        using var optimizer = new GrpoOptimizer(
            new Wrapped(twin), new FixedSampler(sampled.Groups()), new FixedReward(sampled.Rewards), Options(), new Wrapped(reference));
        StepReport report = await optimizer.StepAsync([.. Enumerable.Range(0, Prompts).Select(i => Prompt.Create($"{i}", "sort"))]);

        Assert.Equal(2, report.Updates.Count);
        Assert.True(report.Updates[1].Clip!.Value.RegionMean > 0, "The second step must clip, or the clipped branch is not compared.");
        Repeat(report.Updates, policy, reference, sampled);
        AssertSameWeights(policy, twin);
    }

    // The sample's side, step by step.
    private static void Repeat(IReadOnlyList<UpdateReport> updates, TinyTransformer policy, TinyTransformer reference, Sampled sampled)
    {
        using var scope = TensorScope.Begin();
        using var matrices = optim.AdamW(
            policy.parameters().Where(weights => weights.dim() >= 2), LearningRate, eps: AdamEpsilon, weight_decay: WeightDecay);
        using var vectors = optim.AdamW(
            policy.parameters().Where(weights => weights.dim() < 2), LearningRate, eps: AdamEpsilon, weight_decay: 0);
        Tensor advantages = Method.Advantages(sampled.Rewards, Group);
        Tensor oldLogProbs = policy.LogProbs(sampled.Prompts, sampled.Completions).detach();
        Tensor referenceLogProbs = reference.LogProbs(sampled.Prompts, sampled.Completions).detach();
        foreach (UpdateReport update in updates)
        {
            policy.zero_grad();
            Tensor logProbs = policy.LogProbs(sampled.Prompts, sampled.Completions);
            Tensor loss = Method.Loss(logProbs, oldLogProbs, referenceLogProbs, advantages, sampled.Mask, ClipRange, KlCoefficient);
            loss.backward();
            Assert.Equal(update.Loss, loss.item<float>(), tolerance: Relative); // a mean of terms of about 1, most of which cancel
            double norm = nn.utils.clip_grad_norm_(policy.parameters(), double.PositiveInfinity);
            Assert.Equal(update.GradientNorm, norm, tolerance: Relative * norm);
            matrices.step();
            vectors.step();
        }
    }

    // Two steps move a weight by up to 2e-2 in the direction of its gradient: a wrong gradient moves it elsewhere.
    private static void AssertSameWeights(TinyTransformer expected, TinyTransformer actual)
    {
        using var scope = TensorScope.BeginNoGrad();
        foreach (((string name, Parameter wanted), (string _, Parameter got)) in expected.named_parameters().Zip(actual.named_parameters()))
        {
            double largest = (wanted - got).abs().max().item<float>();
            Assert.True(largest < Relative * LearningRate * 10, $"{name}: {largest}");
        }
    }

    private static GrpoOptions Options() => new()
    {
        GroupSize = Group,
        PromptsPerStep = Prompts,
        KlCoefficient = KlCoefficient,
        Objective = new ClippedObjective { Low = ClipRange, High = ClipRange },
        Reduction = LossReduction.SequenceMean,
        UpdatesPerRollout = 2,
        LearningRate = LearningRate,
        WeightDecay = WeightDecay,
        AdamEpsilon = AdamEpsilon,
        MaxGradientNorm = null,
        MicroBatchSize = 5, // not the whole batch: the parts of the loss must add up
        Sampling = new SamplingOptions { MaxCompletionTokens = SortingTask.CompletionLength },
    };

    /// <summary>The completions of one rollout. Owns its tensors.</summary>
    private sealed record Sampled(Tensor Prompts, Tensor Completions, Tensor Mask, Tensor Rewards) : IDisposable
    {
        public static Sampled From(TinyTransformer policy)
        {
            using var scope = TensorScope.BeginNoGrad();
            Tensor prompts = SortingTask.RandomPrompts(FromScratchTests.Prompts).repeat_interleave(Group, 0); // [B, P]
            Tensor completions = Rollout.Sample(policy, prompts);                                             // [B, C]
            Tensor mask = Rollout.Mask(completions);                                                          // [B, C]
            Tensor rewards = SortingTask.Score(prompts, completions, mask);                                   // [B]
            return new Sampled(scope.Release(prompts), scope.Release(completions), scope.Release(mask), scope.Release(rewards));
        }

        public IReadOnlyList<RolloutGroup> Groups()
        {
            using var scope = TensorScope.BeginNoGrad();
            return
            [
                .. Enumerable.Range(0, FromScratchTests.Prompts).Select(i => new RolloutGroup(
                    Prompt.Create($"{i}", "sort"), Ids(Prompts[Group * i], SortingTask.PromptLength),
                    [.. Enumerable.Range(Group * i, Group).Select(Completion)])),
            ];
        }

        public void Dispose()
        {
            Prompts.Dispose();
            Completions.Dispose();
            Mask.Dispose();
            Rewards.Dispose();
        }

        private Completion Completion(int row) => new(Ids(Completions[row], (int)Mask[row].sum().item<float>()), "", FinishReason.EndToken);

        private static int[] Ids(Tensor row, int count) => [.. row.data<long>().Take(count).Select(id => (int)id)];
    }

    private sealed class FixedReward(Tensor rewards) : IRewardFunction
    {
        private readonly float[] _rewards = [.. rewards.data<float>()];

        public string Name => "fixed";

        public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
        {
            int first = Group * int.Parse(group.Prompt.Id, System.Globalization.CultureInfo.InvariantCulture);
            return ValueTask.FromResult<IReadOnlyList<Reward>>([.. _rewards.Skip(first).Take(Group).Select(value => (Reward)value)]);
        }
    }

    /// <summary>
    /// The sample's model as the library's policy and reference. All prompts have one length, so there is no padding on the left.
    /// </summary>
    private sealed class Wrapped(TinyTransformer model) : IPolicy, IReferenceModel
    {
        public nn.Module Module => model;

        public Tensor LogProbs(TokenBatch batch, double temperature)
        {
            using var scope = TensorScope.Begin();
            return scope.Keep(model.LogProbs(batch.PromptIds, batch.CompletionIds).masked_fill(batch.CompletionMask.eq(0), 0));
        }

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            throw new InvalidOperationException("The completions are given.");

        public void Save(string directory) => throw new InvalidOperationException("Nothing is saved.");

        public void Load(string directory) => throw new InvalidOperationException("Nothing is loaded.");
    }
}
