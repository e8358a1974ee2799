using System.Globalization;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Planning;
using Grpo.Testing;
using TorchSharp;

namespace Grpo.Core.Tests.Optimization;

public sealed class TrainingPlanTests
{
    [Fact]
    public void Explain_says_what_an_on_policy_run_does()
    {
        Assert.Equal(
            Joined("""
            step          8 prompts x 16 completions = 128, each of at most 256 tokens: 32,768 tokens in all, 163,840 with prompts of ↩
                          at most 1,024
            sampling      temperature 0.9, which also divides the logits of policy, old policy and reference; groups that teach nothing ↩
                          are replaced in up to 10 rounds
            updates       1 per round, each in at most 16 micro-batches of 8 sequences
            policy        on-policy: the only update of a round has w = π/π_old = 1, so neither a clip nor a cap acts
            old log-probs not needed
            reference     not needed
            advantage     group-normalized: group-normalized(Epsilon=0.0001)
            objective     clipped surrogate: clipped(Low=0.2, High=0.28)
            KL            none (β = 0)
            loss          TokenMean: sum over tokens / N, the completion tokens of the whole step (at most 32,768); completions without ↩
                          advantage count too
            trained       100 parameters, 0 frozen
            optimizer     AdamW, learning rate 1E-06 constant after 20 of warm-up, weight decay 0.1, gradient norm at most 1, update ↩
                          skipped above 20 times the recent median; moments of 800 bytes
            time          measured on the first step
            """),
            Text(GrpoPresets.Dapo() with { Sampling = new SamplingOptions { Temperature = 0.9 } }));
    }

    [Fact]
    public void Explain_names_everything_else_that_changes_the_loss()
    {
        var options = new GrpoOptions
        {
            KlCoefficient = 0.1,
            KlTarget = 0.05,
            EntropyCoefficient = 0.01,
            TopEntropyFraction = 0.2,
            UpdatesPerRollout = 2,
            OffPolicyThreshold = 0.5,
            SamplerCorrectionCap = 2,
        };
        Assert.Equal(
            [
                "β moves to hold KL at 0.05 nats per token", "entropy bonus 0.01",
                "only the least certain 0.2 of the tokens, for one more forward pass per update",
                "off-policy sequence mask at 0.5 nats per token", "sampler correction, Truncate at 2",
            ],
            Plan(options).Extras);
        Assert.Contains(
            "\nbesides       β moves to hold KL at 0.05 nats per token; entropy bonus 0.01;", Plan(options).ToString(),
            StringComparison.Ordinal);
        Assert.Empty(Plan(new GrpoOptions()).Extras);
    }

    [Fact]
    public void Explain_says_what_an_off_policy_run_with_a_reference_does()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE"); // no word of it may change
            Assert.Equal(
                Joined("""
                step          1 prompt x 5 completions = 5, each of at most 1 token: 5 tokens in all, 45 with prompts of at most 8
                sampling      temperature 1, which also divides the logits of policy, old policy and reference
                updates       2 per round, each in at most 2 micro-batches of 3 sequences
                policy        off-policy: the last update of a round comes 1 optimizer step after sampling; the first has w = π/π_old = 1
                old log-probs kept from the first update's own forward pass
                reference     needed: one more forward pass, without gradient, per micro-batch and round; moved by 0.6 of the way to ↩
                              the policy after every 512 steps, and kept in the checkpoint
                advantage     mean-centered: mean-centered
                objective     REINFORCE: reinforce(ImportanceWeighted=True)
                KL            0.04 · w·k3 per token, w = π/π_old, k3 = exp(−x) + x − 1, x = log π − log π_ref
                loss          FixedLength: sum over tokens / 5 = B · limit = 5 · 1, whatever the lengths; completions cut at the limit ↩
                              are left out, also of the count
                trained       100 parameters, 0 frozen
                optimizer     AdamW, learning rate 0.05 cosine over 100 optimizer steps to 0.1 of it, weight decay 0, gradient not ↩
                              clipped; moments of 800 bytes
                time          measured on the first step
                """),
                Text(new GrpoOptions
                {
                    GroupSize = 5,
                    PromptsPerStep = 1,
                    MicroBatchSize = 3,
                    UpdatesPerRollout = 2,
                    Advantage = new MeanCenteredAdvantage(),
                    Objective = new ReinforceObjective { ImportanceWeighted = true },
                    Reduction = LossReduction.FixedLength,
                    KlCoefficient = 0.04,
                    KlEstimator = KlEstimator.ImportanceCorrectedK3,
                    MaskTruncatedCompletions = true,
                    LearningRate = 0.05,
                    Schedule = LearningRateSchedule.Cosine,
                    ScheduleSteps = 100,
                    ScheduleFloor = 0.1,
                    MaxGradientNorm = null,
                    GradientSpikeFactor = null,
                    ReferenceSyncEvery = 512,
                    Sampling = new SamplingOptions { MaxCompletionTokens = 1, MaxPromptTokens = 8 },
                }));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Explain_has_the_numbers_as_properties_and_runs_nothing()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy();
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { UpdatesPerRollout = 4, KlCoefficient = 0.1 }, reference);
        TrainingPlan plan = optimizer.Explain();
        Assert.Equal((2, 6, 12), (plan.PromptsPerStep, plan.GroupSize, plan.CompletionsPerStep));
        Assert.Equal((72L, 168L), (plan.MaxCompletionTokensPerStep, plan.MaxTokensPerStep)); // 12·6, and 12·(8 + 6)
        Assert.Equal((3, 4, 3), (plan.MaxMicroBatches, plan.UpdatesPerRollout, plan.MaxStaleness));
        Assert.Equal((true, true), (plan.NeedsOldLogProbs, plan.NeedsReferenceModel));
        // 10 · 10 numbers, 2 · 4 bytes each
        Assert.Equal((100L, 0L, 800L), (plan.TrainedParameters, plan.FrozenParameters, plan.MomentBytes));
        Assert.Equal((0, 0), (policy.LogProbsCalls, reference.LogProbsCalls));
    }

    [Theory]
    [InlineData(null, 3, "2 per round, each in at most 3 micro-batches of 5 sequences")]
    [InlineData(69, 3, "2 per round, each in at most 3 micro-batches of 5 sequences and 69 tokens at most")] // 4 of 14 tokens each fit
    [InlineData(41, 6, "2 per round, each in at most 6 micro-batches of 5 sequences and 41 tokens at most")]
    [InlineData(1, 12, "2 per round, each in at most 12 micro-batches of 5 sequences and 1 token at most")]
    public void Explain_words_the_token_budget(int? budget, int microBatches, string words)
    {
        TrainingPlan plan = Plan(Toy.Options with { UpdatesPerRollout = 2, MaxTokensPerMicroBatch = budget });
        Assert.Equal((microBatches, budget, false), (plan.MaxMicroBatches, plan.MaxTokensPerMicroBatch, plan.SharesPrompts));
        Assert.Contains($"updates       {words}\n", plan.ToString(), StringComparison.Ordinal);
        Assert.Contains(
            $"updates       {words}; a prompt is computed once for the completions of its group\n",
            (plan with { SharesPrompts = true }).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Explain_counts_trained_and_frozen_parameters()
    {
        using var policy = new HalfFrozenPolicy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        TrainingPlan plan = optimizer.Explain();
        Assert.Equal((16L, 10L, 128L), (plan.TrainedParameters, plan.FrozenParameters, plan.MomentBytes)); // 3·4 + 4, and 4·2 + 2
        Assert.Contains("trained       16 parameters, 10 frozen\n", plan.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(OptimizerMoments.Float32, 800, "; moments of 800 bytes\n")]
    [InlineData(OptimizerMoments.Host, 800, "; moments of 800 bytes in main memory\n")]
    [InlineData(OptimizerMoments.Int8, 520, "; moments of 520 bytes, in 8 bits\n")] // a block of 256 and its scale, twice
    public void Explain_says_where_the_moments_are(OptimizerMoments moments, long bytes, string words)
    {
        TrainingPlan plan = Plan(new GrpoOptions { OptimizerMoments = moments });
        Assert.Equal((moments, bytes), (plan.Moments, plan.MomentBytes));
        Assert.Contains(words, plan.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(
        LossReduction.SequenceMean,
        "SequenceMean: mean over each completion's tokens, then / B = 64 completions; completions without advantage count too")]
    [InlineData(
        LossReduction.SequenceSum,
        "SequenceSum: sum over each completion's tokens, then / B = 64 completions; completions without advantage count too")]
    public void Explain_words_the_denominator(LossReduction reduction, string expected) =>
        Assert.Equal(expected, Plan(new GrpoOptions { Reduction = reduction }).Denominator);

    [Theory]
    [InlineData(KlEstimator.K3, "0.5 · k3 = exp(−x) + x − 1 per token, x = log π − log π_ref")]
    [InlineData(KlEstimator.K2, "0.5 · k2 = x²/2 per token, x = log π − log π_ref")]
    [InlineData(KlEstimator.StraightThrough, "0.5 · the value of k3 with the gradient of k2 per token, x = log π − log π_ref")]
    [InlineData(KlEstimator.K1InReward, "0.5 · k1 = Σ x of the completion, taken off its reward, x = log π − log π_ref; none in the loss")]
    public void Explain_words_the_kl_term(KlEstimator estimator, string expected) =>
        Assert.Equal(expected, Plan(new GrpoOptions { KlCoefficient = 0.5, KlEstimator = estimator }).Kl);

    [Fact]
    public void Explain_can_put_every_preset_into_words() => Assert.All(GrpoPresets.Names, name =>
    {
        string text = Text(GrpoPresets.Get(name));
        Assert.Equal(13, text.Split('\n').Length);
    });

    private static string Text(GrpoOptions options) => Plan(options).ToString();

    private static TrainingPlan Plan(GrpoOptions options)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options, reference);
        return optimizer.Explain();
    }

    /// <summary>Two layers, of which the first is trained; never run.</summary>
    private sealed class HalfFrozenPolicy : IPolicy, IDisposable
    {
        private readonly torch.nn.Module _module;

        public HalfFrozenPolicy()
        {
            TorchSharp.Modules.Linear trained = torch.nn.Linear(3, 4), frozen = torch.nn.Linear(4, 2);
            foreach (TorchSharp.Modules.Parameter parameter in frozen.parameters())
            {
                parameter.requires_grad = false;
            }

            _module = torch.nn.Sequential(("trained", trained), ("frozen", frozen));
        }

        public torch.nn.Module Module => _module;

        public torch.Tensor LogProbs(TokenBatch batch, double temperature) => throw new NotSupportedException();

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) => throw new NotSupportedException();

        public void Save(string directory) => throw new NotSupportedException();

        public void Load(string directory) => throw new NotSupportedException();

        public void Dispose() => _module.Dispose();
    }

    // A line of the plan that is longer than a line of code goes on in the next one.
    private static string Joined(string text) => text.Replace(" ↩\n              ", " ", StringComparison.Ordinal);
}
