using Grpo.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>The library's sampler on a real model: whatever makes it fast leaves the tokens as they are.</summary>
public sealed class RolloutTests
{
    private static readonly CharTokenizer Tokenizer = new("abcdefghijklmnopqrstuvwxyz");

    private static readonly Prompt[] Prompts =
        [.. new[] { "a", "the cat", "go", "seven", "to be or not", "x", "where", "ab" }.Select((text, i) => Prompt.Create($"p{i}", text.Replace(" ", "", StringComparison.Ordinal)))];

    private static RolloutRequest Request => new()
    {
        Prompts = Prompts,
        GroupSize = 4,
        Sampling = new SamplingOptions { MaxCompletionTokens = 24, MaxPromptTokens = 16 },
        Seed = 5,
        Step = 2,
    };

    [Theory]
    [InlineData(4, true)]       // one group at a time
    [InlineData(10, true)]      // a group joins whenever four rows have left
    [InlineData(3, true)]       // groups in two parts
    [InlineData(1000, true)]
    [InlineData(10, false)]     // in rounds
    public async Task Tokens_are_the_same_however_many_are_decoded_at_once(int rows, bool joins)
    {
        using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(Config, seed: 3));
        Completion[] expected = await OneByOneAsync(policy);
        IPolicy decoder = joins ? policy : new Rounds(policy);
        RolloutRequest request = Request with { Sampling = Request.Sampling with { MaxConcurrentSequences = rows } };
        Completion[] actual = Completions(await new PolicyGroupSampler(Tokenizer, new PlainTemplate()).SampleAsync(decoder, request));
        AssertSame(expected, actual);
        Assert.InRange(actual.Select(completion => completion.TokenIds.Count).Distinct().Count(), 5, 24); // rows do leave at different times
    }

    [Fact]
    public async Task Tokens_are_the_same_with_a_bounded_cache_and_those_of_greedy_decoding_too()
    {
        using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(Config, seed: 3));
        var sampler = new PolicyGroupSampler(Tokenizer, new PlainTemplate());
        RolloutRequest greedy = Request with { Sampling = Request.Sampling.ToGreedy() };
        RolloutRequest bounded = greedy with { Sampling = greedy.Sampling with { MaxCachedTokens = 33 * 5 } };   // 10 letters and 24 tokens, less the last
        AssertSame(Completions(await sampler.SampleAsync(policy, greedy)), Completions(await sampler.SampleAsync(policy, bounded)));
        AssertSame(await OneByOneAsync(policy), Completions(await sampler.SampleAsync(policy, Request with { Sampling = Request.Sampling with { MaxCachedTokens = 33 * 5 } })));
    }

    [Fact]
    public async Task Log_probs_of_8_bit_rollouts_differ_a_little_from_those_of_training_and_the_update_says_by_how_much()
    {
        using var policy = new QwenPolicy(Qwen2ForCausalLM.Initialize(Config, seed: 3)) { Int8Rollouts = true };
        var reward = RewardFunction.Create("length", (_, completion) => completion.TokenIds.Count);
        using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(Tokenizer, new PlainTemplate()), reward, new GrpoOptions
        {
            GroupSize = 4,
            PromptsPerStep = 8,
            Sampling = Request.Sampling,
        });
        StepReport report = await optimizer.StepAsync(Prompts);
        LogProbDifference rounded = report.Updates.Single().SamplerDifference!.Value;
        Assert.InRange(rounded.Mean, 1e-4, 0.05);
        policy.Int8Rollouts = false;
        LogProbDifference exact = (await optimizer.StepAsync(Prompts)).Updates.Single().SamplerDifference!.Value;
        Assert.InRange(exact.Mean, 0, 1e-5);
    }

    // Widths that the decoding kernels take: 2 to 32 rows go through them, one row through libtorch's product.
    private static Qwen2Config Config => TinyModels.Config() with
    {
        VocabularySize = Tokenizer.VocabularySize,
        HiddenSize = 96,
        IntermediateSize = 160,
        AttentionHeadCount = 6,
        KeyValueHeadCount = 2,
        InitializerRange = 0.15,
    };

    private static async Task<Completion[]> OneByOneAsync(QwenPolicy policy)
    {
        RolloutRequest request = Request with { Sampling = Request.Sampling with { MaxConcurrentSequences = 1 } };
        return Completions(await new PolicyGroupSampler(Tokenizer, new PlainTemplate()).SampleAsync(policy, request));
    }

    private static Completion[] Completions(IEnumerable<RolloutGroup> groups) => [.. groups.SelectMany(group => group.Completions)];

    private static void AssertSame(Completion[] expected, Completion[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i].TokenIds, actual[i].TokenIds);
            Assert.All(expected[i].LogProbs!.Zip(actual[i].LogProbs!), pair => Assert.Equal(pair.First, pair.Second, 2e-5f));
        }
    }

    /// <summary>The same policy without what its sessions offer beyond the minimum.</summary>
    private sealed class Rounds(QwenPolicy inner) : IPolicy
    {
        public nn.Module Module => inner.Module;

        public Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) => new Session(inner.StartDecoding(prompts, groupSize, maxNewTokens));

        public void Save(string directory) => inner.Save(directory);

        public void Load(string directory) => inner.Load(directory);

        private sealed class Session(IDecodingSession inner) : IDecodingSession
        {
            public Tensor Prefill() => inner.Prefill();

            public Tensor Advance(Tensor tokenIds) => inner.Advance(tokenIds);

            public void KeepRows(IReadOnlyList<int> rows) => inner.KeepRows(rows);

            public void Dispose() => inner.Dispose();
        }
    }
}
