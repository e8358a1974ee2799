using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.Core.Tests.Training;

/// <summary>Prompts that cannot be sampled from are found before the first step, all at once.</summary>
public sealed class PromptCheckTests : IDisposable
{
    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly GrpoOptimizer _optimizer;

    public PromptCheckTests() => _optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);

    // Toy.Options allows 8 tokens of a prompt, and a letter is a token.
    private static IReadOnlyList<Prompt> WithLong =>
        [.. Toy.Prompts, .. new[] { 9, 12, 9, 10 }.Select((length, i) => Prompt.Create($"long{i}", new string('a', length))), Prompt.Create(
            "fits", "abcdefgh")];

    [Fact]
    public void Trainer_names_all_prompts_over_the_limit_before_a_step()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => new GrpoTrainer(_optimizer, WithLong));
        Assert.StartsWith(
            "4 of 9 prompts must have 1 to 8 tokens (MaxPromptTokens) and do not: 'long0' has 9, 'long1' has 12, 'long2' has 9, and 1 "
            + "more. Raise MaxPromptTokens to 12, the longest, or leave them out of the data set.",
            error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Trainer_names_prompts_without_a_token()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(
            () => new GrpoTrainer(_optimizer, [.. Toy.Prompts, Prompt.Create("no\nthing", "")]));
        Assert.StartsWith(
            @"1 of 5 prompts must have 1 to 8 tokens (MaxPromptTokens) and do not: 'no\u{A}thing' has 0. Leave them out of the data set.",
            error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Trainer_refuses_a_prompt_that_has_no_room_in_the_cache()
    {
        GrpoOptions options = Toy.Options;
        options.Sampling.MaxCachedTokens = 9; // "hge" and "dec" have 3, and 3 + 6 − 1 = 8; "abcde" needs 10
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), options);
        _ = new GrpoTrainer(optimizer, Toy.Prompts);

        Assert.Contains(
            "one sequence may need 10 tokens in the key/value cache, but Sampling.MaxCachedTokens is 9",
            Assert.Throws<ArgumentException>(() => new GrpoTrainer(optimizer, [.. Toy.Prompts, Prompt.Create("p", "abcde")])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Evaluator_names_all_prompts_over_the_limit()
    {
        Assert.StartsWith(
            "4 of 9 prompts must have 1 to 8 tokens (MaxPromptTokens)",
            Assert.Throws<ArgumentException>(
                () => new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), WithLong, Toy.Options.Sampling.ToGreedy())).Message,
            StringComparison.Ordinal);
        // The samples of pass@k have limits of their own.
        var options = new EvaluationOptions
        {
            AccuracySampling = Toy.Options.Sampling.ToGreedy(),
            Samples = 2,
            PassSampling = new SamplingOptions { MaxPromptTokens = 2 },
        };
        Assert.StartsWith(
            "2 of 4 prompts must have 1 to 2 tokens (MaxPromptTokens) and do not: 'p1' has 3, 'p3' has 3.",
            Assert.Throws<ArgumentException>(() => new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, options)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Trainer_asks_nothing_of_a_sampler_that_cannot_tell()
    {
        using var optimizer = new GrpoOptimizer(_policy, new Wrapped(Toy.Sampler), new Toy.LetterReward(), Toy.Options);
        _ = new GrpoTrainer(optimizer, WithLong);
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        _policy.Dispose();
    }

    private sealed class Wrapped(IGroupSampler inner) : IGroupSampler
    {
        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
            inner.SampleAsync(policy, request, cancellationToken);
    }
}
