using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Rollouts;

public sealed class PolicyGroupSamplerTests
{
    [Fact]
    public async Task SampleAsync_returns_one_group_per_prompt_in_their_order()
    {
        using BigramPolicy policy = Toy.Policy();
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts));
        Assert.Equal(Toy.Prompts, groups.Select(group => group.Prompt));
        Assert.All(groups, group => Assert.Equal(6, group.Completions.Count));
        Assert.Equal([5, 6, 4], groups[1].PromptTokenIds); // d, e, c of "dec"
    }

    [Fact]
    public async Task SampleAsync_draws_the_same_whatever_else_is_in_the_batch()
    {
        using BigramPolicy policy = Toy.Policy();
        IReadOnlyList<RolloutGroup> together = await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts));
        for (int i = 0; i < Toy.Prompts.Count; i++)
        {
            AssertSame(together[i], (await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts[i])))[0]);
        }

        IReadOnlyList<RolloutGroup> reversed = await Toy.Sampler.SampleAsync(policy, Toy.Request([.. Toy.Prompts.Reverse()]));
        Assert.All(Enumerable.Range(0, 4), i => AssertSame(together[i], reversed[3 - i]));

        // A smaller group is the beginning of a larger one.
        IReadOnlyList<RolloutGroup> smaller = await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts) with { GroupSize = 2 });
        AssertSame(together[2] with { Completions = [.. together[2].Completions.Take(2)] }, smaller[2]);
    }

    [Theory]
    [MemberData(nameof(ConcurrentSequences))]
    public async Task SampleAsync_draws_the_same_however_many_sequences_run_at_once(int maxConcurrentSequences, bool canAddPrompts)
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        IReadOnlyList<RolloutGroup> expected = await Toy.Sampler.SampleAsync(policy, request);
        policy.CanAddPrompts = canAddPrompts;
        IReadOnlyList<RolloutGroup> actual = await Toy.Sampler.SampleAsync(
            policy, request with { Sampling = request.Sampling with { MaxConcurrentSequences = maxConcurrentSequences } });
        Assert.All(expected.Zip(actual), pair => AssertSame(pair.First, pair.Second));
    }

    public static IEnumerable<object[]> ConcurrentSequences() =>
        from rows in new[] { 1, 4, 5, 7, 13, 1000 } from canAddPrompts in new[] { false, true } select new object[] { rows, canAddPrompts };

    [Fact]
    public async Task SampleAsync_decodes_no_row_after_its_end_and_lets_waiting_prompts_join()
    {
        using BigramPolicy policy = Toy.Policy();
        Prompt[] prompts = [.. Enumerable.Range(0, 20).Select(i => Prompt.Create($"p{i}", "abcdefg"[..((i % 7) + 1)]))];
        RolloutRequest request = Toy.Request(prompts) with
        {
            Sampling = new SamplingOptions { MaxCompletionTokens = 40, MaxConcurrentSequences = 12 },
        };
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(policy, request);
        int[] lengths = [.. groups.SelectMany(group => group.Completions).Select(completion => completion.TokenIds.Count)];
        // The first token of a completion comes from its prompt, each further one from one row of a call.
        Assert.Equal(lengths.Sum() - lengths.Length, policy.AdvancedRows.Sum());
        // Two groups of six start together, and all others join them unless every row ends at the same call.
        Assert.InRange(policy.AddedPrompts, 14, 18);
        int joined = policy.AdvancedRows.Count;

        policy.CanAddPrompts = false;
        await Toy.Sampler.SampleAsync(policy, request);
        Assert.InRange(policy.AdvancedRows.Count - joined, (int)(joined * 1.3), int.MaxValue);
    }

    [Theory]
    [InlineData(24, 3)]  // prompts of up to 3 tokens and 6 new ones, the last of which is not fed back: 8 places a sequence
    [InlineData(8, 1)]
    [InlineData(31, 3)]
    [InlineData(1000, 6)]
    public async Task SampleAsync_keeps_to_the_cached_tokens_that_are_allowed(long maxCachedTokens, int rows)
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        IReadOnlyList<RolloutGroup> expected = await Toy.Sampler.SampleAsync(policy, request);
        policy.AdvancedRows.Clear();
        IReadOnlyList<RolloutGroup> actual = await Toy.Sampler.SampleAsync(
            policy, request with { Sampling = request.Sampling with { MaxCachedTokens = maxCachedTokens, MaxConcurrentSequences = 6 } });
        Assert.All(expected.Zip(actual), pair => AssertSame(pair.First, pair.Second));
        Assert.Equal(rows, policy.AdvancedRows.Max());
    }

    [Fact]
    public async Task SampleAsync_says_what_one_sequence_needs_when_not_even_one_fits_the_cache()
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        var exception = await Assert.ThrowsAsync<ArgumentException>(async () => await Toy.Sampler.SampleAsync(
            policy, request with { Sampling = request.Sampling with { MaxCachedTokens = 7 } }));
        Assert.StartsWith(
            "The longest prompt has 3 tokens and Sampling.MaxCompletionTokens is 6, so one sequence may need 8 tokens in the key/value "
            + "cache, but Sampling.MaxCachedTokens is 7.",
            exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(5, 0)]      // 24 sequences fail at the start, then 12, then 6; 3 fit
    [InlineData(1000, 2)]   // the second token of 24 sequences fails
    [InlineData(7, 3)]      // 24 and 12 fail at the start, and 6 at their third token
    public async Task SampleAsync_halves_the_sequences_that_run_at_once_when_memory_runs_out(int fit, int failingAdvance)
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        IReadOnlyList<RolloutGroup> expected = await Toy.Sampler.SampleAsync(policy, request);
        var log = new ListLogger<PolicyGroupSampler>();
        var sampler = new PolicyGroupSampler(Toy.Tokenizer, new PlainTemplate(), log);
        int advances = 0;
        policy.OnStartDecoding = rows => Require(rows <= fit);
        policy.OnAdvance = () => Require(++advances != failingAdvance);
        IReadOnlyList<RolloutGroup> actual = await sampler.SampleAsync(policy, request);
        Assert.All(expected.Zip(actual), pair => AssertSame(pair.First, pair.Second));
        int fitted = fit == 1000 ? 12 : 3;
        Assert.Equal($"24 sequences at a time, of up to 8 tokens, did not fit into memory; {fitted} did. " +
            $"From now on at most {8 * fitted} tokens are cached: set MaxCachedTokens to that to save the failed attempt.", Assert.Single(
                log.Entries).Text);

        // It remembers: the next request does not fail again.
        policy.OnStartDecoding = rows => Assert.InRange(rows, 1, fitted);
        policy.OnAdvance = null;
        await sampler.SampleAsync(policy, request);

        // In tokens: shorter completions run at once in larger numbers. 4 tokens a sequence, 3 of the prompt and 2 new ones less the last.
        policy.OnStartDecoding = rows => Assert.Equal(2 * fitted, rows);
        await sampler.SampleAsync(
            policy, request with { GroupSize = 2 * fitted, Sampling = request.Sampling with { MaxCompletionTokens = 2 } });
        Assert.Single(log.Entries);

        static void Require(bool fits)
        {
            if (!fits)
            {
                throw NativeFailure.OutOfMemory();
            }
        }
    }

    [Fact]
    public async Task SampleAsync_says_what_to_do_when_not_even_one_sequence_fits_into_memory()
    {
        using BigramPolicy policy = Toy.Policy();
        policy.OnStartDecoding = _ => throw NativeFailure.OutOfMemory();
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(
            async () => await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts)));
        Assert.StartsWith(
            "Not even one sequence at a time fits into memory, with a prompt of up to 3 tokens and MaxCompletionTokens 6.",
            exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SampleAsync_draws_anew_for_another_step_seed_or_sample()
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts[0]);
        var texts = new HashSet<string>();
        foreach (RolloutRequest item in new[] { request, request with { Step = 4 }, request with { Seed = 43 } })
        {
            RolloutGroup group = (await Toy.Sampler.SampleAsync(policy, item))[0];
            Assert.True(group.Completions.Select(completion => completion.Text).Distinct().Count() > 1);
            texts.Add(Texts(group));
        }

        Assert.Equal(3, texts.Count);
    }

    [Fact]
    public async Task SampleAsync_gives_a_prompt_that_comes_twice_two_different_groups()
    {
        using BigramPolicy policy = Toy.Policy();
        Prompt prompt = Toy.Prompts[0];
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(policy, Toy.Request(prompt, Toy.Prompts[1], prompt));
        RolloutGroup larger = (await Toy.Sampler.SampleAsync(policy, Toy.Request(prompt) with { GroupSize = 12 }))[0];
        AssertSame(larger with { Completions = [.. larger.Completions.Take(6)] }, groups[0]);
        AssertSame(larger with { Completions = [.. larger.Completions.Skip(6)] }, groups[2]);
        Assert.NotEqual(Texts(groups[0]), Texts(groups[2]));
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.6)]
    public async Task SampleAsync_records_the_log_probs_that_training_computes(double temperature)
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(
            policy, request with { Sampling = request.Sampling with { Temperature = temperature } });
        foreach (RolloutGroup group in groups)
        {
            foreach (Completion completion in group.Completions)
            {
                float[] trained = LogProbs(policy, new TokenSequence(group.PromptTokenIds, completion.TokenIds), temperature);
                Assert.Equal(trained.Length, completion.LogProbs!.Count);
                Assert.All(trained.Zip(completion.LogProbs!), pair => Assert.Equal(pair.First, pair.Second, 1e-5f));
                Assert.InRange(completion.MeanEntropy!.Value, 0, Math.Log(Toy.Vocabulary));
            }
        }
    }

    [Fact]
    public async Task SampleAsync_ends_at_the_first_end_token_and_tells_it_from_the_limit()
    {
        using BigramPolicy policy = Toy.Policy();
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts) with { GroupSize = 64 });
        Completion[] completions = [.. groups.SelectMany(group => group.Completions)];
        foreach (Completion completion in completions)
        {
            Assert.InRange(completion.TokenIds.Count, 1, 6);
            Assert.DoesNotContain(CharTokenizer.End, completion.TokenIds.SkipLast(1));
            bool ended = completion.TokenIds[^1] == CharTokenizer.End;
            Assert.Equal(ended ? FinishReason.EndToken : FinishReason.Truncated, completion.FinishReason);
            Assert.True(ended || completion.TokenIds.Count == 6);
            Assert.Equal(Toy.Tokenizer.Decode(completion.TokenIds), completion.Text);
        }

        // All kinds occur: ended early, ended exactly at the limit, cut at the limit.
        Assert.Contains(completions, completion => completion is { FinishReason: FinishReason.EndToken, TokenIds.Count: < 6 });
        Assert.Contains(completions, completion => completion is { FinishReason: FinishReason.EndToken, TokenIds.Count: 6 });
        Assert.Contains(completions, completion => completion is { FinishReason: FinishReason.Truncated, TokenIds.Count: 6 });
    }

    [Fact]
    public async Task SampleAsync_ends_at_whichever_end_token_comes_first()
    {
        // As Qwen2.5, whose completions end with <|im_end|> or with <|endoftext|>.
        int[] ends = [CharTokenizer.End, Toy.Tokenizer.Id('d')];
        using BigramPolicy policy = Toy.Policy();
        var sampler = new PolicyGroupSampler(new TwoEnds(ends), new PlainTemplate());
        Completion[] completions = [.. (await sampler.SampleAsync(policy, Toy.Request(Toy.Prompts) with { GroupSize = 64 }))
            .SelectMany(group => group.Completions)];
        Assert.All(completions, completion => Assert.Empty(completion.TokenIds.SkipLast(1).Intersect(ends)));
        Assert.All(completions, completion => Assert.Equal(
            ends.Contains(completion.TokenIds[^1]) ? FinishReason.EndToken : FinishReason.Truncated, completion.FinishReason));
        Assert.All(
            ends, end => Assert.Contains(completions, completion => completion.TokenIds[^1] == end && completion.TokenIds.Count < 6));
    }

    private sealed class TwoEnds(IEnumerable<int> ends) : ITokenizer
    {
        public int VocabularySize => Toy.Vocabulary;

        public IReadOnlySet<int> EndTokenIds { get; } = ends.ToHashSet();

        public int PadTokenId => Toy.Tokenizer.PadTokenId;

        public IReadOnlyList<int> Encode(string text) => Toy.Tokenizer.Encode(text);

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) =>
            Toy.Tokenizer.Decode(tokenIds, skipSpecialTokens);
    }

    [Fact]
    public async Task SampleAsync_samples_the_policys_distribution()
    {
        using BigramPolicy policy = Toy.Policy();
        var request = new RolloutRequest
        {
            Prompts = [Toy.Prompts[0]],
            GroupSize = 20_000,
            Sampling = new SamplingOptions { MaxCompletionTokens = 1 },
        };
        RolloutGroup group = (await Toy.Sampler.SampleAsync(policy, request))[0];
        for (int id = 0; id < Toy.Vocabulary; id++)
        {
            double expected = policy.Probability(Toy.Tokenizer.Id('b'), id);
            double actual = group.Completions.Count(completion => completion.TokenIds[0] == id) / 20_000.0;
            Assert.Equal(expected, actual, 5 * Math.Sqrt(expected / 20_000)); // five standard deviations
        }
    }

    [Fact]
    public async Task SampleAsync_follows_the_most_probable_tokens_when_greedy()
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(
            policy, request with { Sampling = request.Sampling.ToGreedy(), GroupSize = 2 });
        float[] table = policy.Weights();
        foreach (RolloutGroup group in groups)
        {
            int last = group.PromptTokenIds[^1];
            foreach (int id in group.Completions[0].TokenIds)
            {
                ReadOnlySpan<float> row = table.AsSpan(last * Toy.Vocabulary, Toy.Vocabulary);
                Assert.Equal(row.IndexOf(row.ToArray().Max()), id);
                last = id;
            }

            Assert.Equal(group.Completions[0].TokenIds, group.Completions[1].TokenIds);
        }
    }

    [Fact]
    public async Task SampleAsync_applies_filters_and_remembers_what_occurred()
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts);
        var filtered = new SamplingOptions { MaxCompletionTokens = 6, TopK = 1, Temperature = 1.3 };
        IReadOnlyList<RolloutGroup> greedy = await Toy.Sampler.SampleAsync(policy, request with { Sampling = request.Sampling.ToGreedy() });
        IReadOnlyList<RolloutGroup> best = await Toy.Sampler.SampleAsync(policy, request with { Sampling = filtered });
        Assert.Equal(greedy.Select(Texts), best.Select(Texts));

        // With a penalty that outweighs every logit, no token comes back while an unused one is left, the prompt's included.
        var unrepeated = new SamplingOptions { MaxCompletionTokens = 6, Temperature = 0, RepetitionPenalty = 10 };
        using var positive = new BigramPolicy(Toy.Vocabulary);
        IReadOnlyList<RolloutGroup> groups = await Toy.Sampler.SampleAsync(
            Shifted(positive), request with { Sampling = unrepeated, GroupSize = 1 });
        Assert.All(groups, group =>
        {
            int[] ids = [.. group.PromptTokenIds, .. group.Completions[0].TokenIds];
            Assert.Equal(ids.Length, ids.Distinct().Count());
        });
    }

    [Fact]
    public async Task SampleAsync_refuses_a_prompt_that_is_too_long_before_any_is_run()
    {
        using BigramPolicy policy = Toy.Policy();
        policy.OnAdvance = () => Assert.Fail("the policy was run");
        RolloutRequest request = Toy.Request(Toy.Prompts[0], Prompt.Create("long", "abcdefgha"));
        var exception = await Assert.ThrowsAsync<ArgumentException>(async () => await Toy.Sampler.SampleAsync(policy, request));
        Assert.StartsWith(
            "Prompt 'long' has 9 tokens but must have 1 to 8. Raise MaxPromptTokens, or leave the prompt out of the data set.",
            exception.Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "Prompt 'empty' has 0 tokens but must have 1 to 8.",
            (await Assert.ThrowsAsync<ArgumentException>(
                async () => await Toy.Sampler.SampleAsync(policy, Toy.Request(Prompt.Create("empty", ""))))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task SampleAsync_refuses_options_out_of_range()
    {
        using BigramPolicy policy = Toy.Policy();
        RolloutRequest request = Toy.Request(Toy.Prompts) with { Sampling = new SamplingOptions { TopP = 0 } };
        var exception = await Assert.ThrowsAsync<ArgumentException>(async () => await Toy.Sampler.SampleAsync(policy, request));
        Assert.StartsWith("TopP is 0 but must be above 0, at most 1 (off).", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task SampleAsync_stops_between_two_tokens()
    {
        using BigramPolicy policy = Toy.Policy();
        using var source = new CancellationTokenSource();
        int tokens = 0;
        policy.OnAdvance = () =>
        {
            if (++tokens == 2)
            {
                source.Cancel();
            }
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            async () => await Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts), source.Token));
        Assert.Equal(2, tokens);
    }

    private static BigramPolicy Shifted(BigramPolicy policy)
    {
        using var scope = TensorScope.BeginNoGrad();
        policy.Table.add_(1);
        policy.Table.select(1, CharTokenizer.End).sub_(5);
        return policy;
    }

    private static float[] LogProbs(BigramPolicy policy, TokenSequence sequence, double temperature)
    {
        using var scope = TensorScope.BeginNoGrad();
        return [.. policy.LogProbs(TokenBatchBuilder.Build([sequence], 0, CPU), temperature).data<float>()];
    }

    private static string Texts(RolloutGroup group) => string.Join('|', group.Completions.Select(completion => completion.Text));

    private static void AssertSame(RolloutGroup expected, RolloutGroup actual)
    {
        Assert.Equal(expected.Prompt, actual.Prompt);
        Assert.Equal(expected.Completions.Count, actual.Completions.Count);
        foreach ((Completion first, Completion second) in expected.Completions.Zip(actual.Completions))
        {
            Assert.Equal(first.TokenIds, second.TokenIds);
            Assert.Equal(first.LogProbs, second.LogProbs);
            Assert.Equal(first.FinishReason, second.FinishReason);
            Assert.Equal(first.MeanEntropy, second.MeanEntropy);
        }
    }
}
