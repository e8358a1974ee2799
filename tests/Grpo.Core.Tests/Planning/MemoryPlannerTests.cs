using System.Globalization;
using Grpo.Optimization;
using Grpo.Planning;
using TorchSharp;

namespace Grpo.Core.Tests.Planning;

public sealed class MemoryPlannerTests
{
    private const long Process = MemoryPlanner.ProcessBytes;

    [Fact]
    public void Plan_adds_up_what_is_held_at_a_time()
    {
        MemoryPlan plan = MemoryPlanner.Plan(Options(), new LinearModel());
        // Always: 1,000 weights + 8 · 100 moments. Rollout: + 12 sequences · 70 tokens + 2 prompts · 20. Update: + 4 · 100 gradients
        // + 6 · 70 · 10.
        Assert.Equal((Process + 1_800 + 840 + 40, Process + 1_800 + 400 + 4_200), (plan.RolloutPeak, plan.UpdatePeak));
        Assert.Equal(plan.UpdatePeak, plan.Peak);
        Assert.Equal(
            [
                ("weights", 1_000L, MemoryPhase.Always), ("moments", 800, MemoryPhase.Always), ("process", Process, MemoryPhase.Always),
                ("key/value cache", 840, MemoryPhase.Rollout), ("decoding", 40, MemoryPhase.Rollout),
                ("gradients", 400, MemoryPhase.Update), ("activations", 4_200, MemoryPhase.Update), ("logits", 5, MemoryPhase.Update),
            ],
            plan.Lines.Select(line => (line.What, line.Bytes, line.Held)));
    }

    [Fact]
    public void Plan_counts_a_reference_only_with_a_kl_term()
    {
        MemoryPlan plan = MemoryPlanner.Plan(Options() with { KlCoefficient = 0.1 }, new LinearModel());
        Assert.Equal((1_000L, MemoryPhase.Always), plan.Lines.Where(line => line.What == "reference")
            .Select(line => (line.Bytes, line.Held)).Single());
        Assert.Equal(Process + 2_800 + 840 + 40, plan.RolloutPeak);
        Assert.Equal(Process + 2_800 + 4_600, plan.UpdatePeak);
        Assert.Equal(Process + 2_800 + 9_000, MemoryPlanner.Plan(
            Options() with { KlCoefficient = 0.1 }, new LinearModel { Scoring = 9_000 }).UpdatePeak);
        Assert.Equal(Process + 1_800 + 4_600, MemoryPlanner.Plan(Options(), new LinearModel { Scoring = 9_000 }).UpdatePeak);
    }

    [Fact]
    public void Plan_leaves_process_and_heap_out_on_another_device()
    {
        var model = new LinearModel { SmallBlocks = 3_000 };
        Assert.Equal(Process + 1_800 + 400 + 4_200 + 1_000, MemoryPlanner.Plan(Options(), model).Peak); // a third of the small blocks
        Assert.Equal(1_800 + 400 + 4_200, MemoryPlanner.Plan(Options(), model, DeviceType.CUDA).Peak);
    }

    [Fact]
    public void Plan_prints_a_table_whatever_the_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            Assert.Equal(
                """
                weights           1.00 kB  always
                moments             800 B  always   100 trained numbers
                key/value cache     840 B  rollout  12 sequences of 69 tokens
                decoding             40 B  rollout  2 prompts of 20 tokens at a time
                gradients           400 B  update
                activations       4.20 kB  update   6 sequences of 1 prompt, 20 tokens + 50 tokens
                logits                5 B  update
                at most 6.40 kB: 2.68 kB in the rollout, 6.40 kB in the update
                """,
                MemoryPlanner.Plan(Options(), new LinearModel(), DeviceType.CUDA).ToString());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Plan_counts_no_more_gaps_than_a_backward_pass_leaves()
    {
        // 384 MiB and a thirty-second of what is in use, less what the process has beside its heap: in use are 1,000 of weights and of
        // reference, 800 of moments, and 4,200 + 400 of an update of 6 sequences.
        var model = new LinearModel { SmallBlocks = 3_000_000_000 };
        long gaps = (384L << 20) + ((1_000 + 1_000 + 800 + 4_600) / 32) - MemoryPlanner.ProcessBytes;
        Assert.Equal(gaps, Assert.Single(
            MemoryPlanner.Plan(Options() with { KlCoefficient = 0.1 }, model).Lines, line => line.What == "gaps of the heap").Bytes);
    }

    [Fact]
    public void Plan_refuses_options_that_no_run_would_accept() =>
        Assert.Contains("GroupSize", Assert.Throws<ArgumentException>(
            () => MemoryPlanner.Plan(Options() with { GroupSize = 0 }, new LinearModel())).Message, StringComparison.Ordinal);

    [Fact]
    public void Verdict_is_one_word_when_the_run_fits()
    {
        MemoryVerdict verdict = MemoryPlanner.Judge(Options(), new LinearModel(), 6_400, DeviceType.CUDA);
        Assert.True(verdict.Fits); // to the byte
        Assert.Empty(verdict.Remedies);
        Assert.Equal("fits into 6.40 kB", verdict.ToString());
    }

    [Fact]
    public void Verdict_names_the_micro_batch_that_fits_before_a_leaner_model()
    {
        // 5 of the longest would be 5 · 700 + 2,200 = 5,700; they belong to up to 2 prompts.
        MemoryVerdict verdict = MemoryPlanner.Judge(Options(), new LinearModel(), 6_399, DeviceType.CUDA);
        Assert.False(verdict.Fits);
        Assert.Null(verdict.Least);
        Assert.Equal(
            [new MemoryRemedy("MaxTokensPerMicroBatch 350 (5 of the longest at a time)", 5_700), new MemoryRemedy(
                "half the weights", 5_900)],
            verdict.Remedies);
        Assert.Equal(
            """
            does not fit into 6.40 kB; each of these would:
              MaxTokensPerMicroBatch 350 (5 of the longest at a time): 5.70 kB
              half the weights: 5.90 kB
            """,
            verdict.ToString());
    }

    [Fact]
    public void Verdict_names_the_sequences_that_can_be_decoded_at_a_time()
    {
        // 2,000 are always there on top: 1,800 + 40 + 12 · 1,400. Groups of 6 as long as one fits; then 3 · 1,400, then 1.
        var model = new LinearModel { CacheOfToken = 20, ActivationsOfToken = 1 };
        Assert.Equal(new MemoryRemedy("Sampling.MaxConcurrentSequences 6", 1_800 + (6 * 1_400) + 20), MemoryPlanner.Judge(
            Options(), model, 12_000, DeviceType.CUDA).Remedies[0]);
        Assert.Equal(new MemoryRemedy("Sampling.MaxConcurrentSequences 3", 1_800 + (3 * 1_400) + 20), MemoryPlanner.Judge(
            Options(), model, 7_000, DeviceType.CUDA).Remedies[0]);
    }

    [Fact]
    public void Verdict_joins_changes_that_are_needed_together()
    {
        MemoryVerdict verdict = MemoryPlanner.Judge(Options(), new LinearModel { CacheOfToken = 10 }, 3_400, DeviceType.CUDA);
        // As it is: 1,800 + 700 rollout, 2,200 + 700 update, with 1 at a time each; 3 would be 2,200 + 2,100.
        Assert.Equal(
            ["Sampling.MaxConcurrentSequences 2, MaxTokensPerMicroBatch 70 (1 of the longest at a time)",
                "half the weights, Sampling.MaxConcurrentSequences 2, MaxTokensPerMicroBatch 140 (2 of the longest at a time)"],
            verdict.Remedies.Select(remedy => remedy.Change));
        Assert.All(verdict.Remedies, remedy => Assert.InRange(remedy.Peak, 1, 3_400));
    }

    [Fact]
    public void Verdict_says_what_is_missing_when_nothing_helps()
    {
        MemoryVerdict verdict = MemoryPlanner.Judge(Options(), new LinearModel(), 2_000, DeviceType.CUDA);
        Assert.Empty(verdict.Remedies);
        Assert.Equal(new MemoryRemedy("half the weights, one sequence at a time", 1_300 + 400 + 700), verdict.Least);
        Assert.Equal(
            """
            does not fit into 2.00 kB; lower MaxPromptTokens or MaxCompletionTokens, or take more memory. Not even this is enough:
              half the weights, one sequence at a time: 2.40 kB
            """,
            verdict.ToString());
    }

    private static GrpoOptions Options() => new()
    {
        GroupSize = 6,
        PromptsPerStep = 2,
        MicroBatchSize = 6,
        Sampling = new SamplingOptions { MaxPromptTokens = 20, MaxCompletionTokens = 50 },
    };

    /// <summary>1,000 bytes of weights, 100 of them trained, and so many bytes a token.</summary>
    private sealed record LinearModel : IMemoryModel
    {
        public long Weights { get; init; } = 1_000;

        public long CacheOfToken { get; init; } = 1;

        public long ActivationsOfToken { get; init; } = 10;

        public long Scoring { get; init; }

        public long SmallBlocks { get; init; }

        public MemoryNeeds NeedsOf(MemorySizes sizes)
        {
            long activations = sizes.MicroBatchSequences * (sizes.PromptLength + sizes.CompletionLength) * ActivationsOfToken;
            return new MemoryNeeds
            {
                Weights = Weights,
                TrainedParameters = 100,
                Reference = Weights,
                Cache = sizes.DecodedSequences * (sizes.CachedLength + 1) * CacheOfToken,
                Decoding = sizes.DecodedPrompts * sizes.PromptLength,
                Activations = activations,
                Logits = 5,
                Training = activations + 400,
                SmallBlocks = SmallBlocks,
                Scoring = Scoring,
            };
        }

        public IReadOnlyList<LeanerModel> Leaner() => Weights == 1_000 ? [new("half the weights", this with { Weights = 500 })] : [];
    }
}
