using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.Core.Tests.Rollouts;

/// <summary>What a sampler returns is checked once, before anything is scored or trained, whoever asks it.</summary>
public sealed class CheckedSamplerTests
{
    /// <summary>What is wrong with the second of two groups of two completions, and the sentence that says so.</summary>
    public static TheoryData<string, string> Faults => new()
    {
        // Toy's policy has 10 tokens, a completion at most 6 and a prompt at most 8.
        { "last token 10", "returned token 10 in place 2 of completion 1 of prompt 'p1'; token ids of BigramPolicy are 0 to 9." },
        { "first token 10", "returned token 10 in place 0 of completion 1 of prompt 'p1'; token ids of BigramPolicy are 0 to 9." },
        { "token of the largest int",
            "returned token 2147483647 in place 0 of completion 1 of prompt 'p1'; token ids of BigramPolicy are 0 to 9." },
        { "token -1", "returned token -1 in place 2 of completion 1 of prompt 'p1'; token ids of BigramPolicy are 0 to 9." },
        { "prompt token 10", "returned token 10 in place 0 of prompt 'p1'; token ids of BigramPolicy are 0 to 9." },
        { "prompt token -7", "returned token -7 in place 0 of prompt 'p1'; token ids of BigramPolicy are 0 to 9." },
        { "prompt without tokens", "returned 0 tokens of prompt 'p1'; there must be 1 to 8 (MaxPromptTokens)." },
        { "prompt too long", "returned 9 tokens of prompt 'p1'; there must be 1 to 8 (MaxPromptTokens)." },
        { "completion too long", "returned 7 tokens in completion 1 of prompt 'p1'; at most 6 are allowed (MaxCompletionTokens)." },
        { "null", "returned null; it must return one group per prompt." },
        { "no group", "returned 0 groups for 2 prompts; it must return one per prompt." },
        { "a group more", "returned 3 groups for 2 prompts; it must return one per prompt." },
        { "null group", "returned null in place 1; it must return the group of prompt 'p1' there." },
        { "null prompt", "returned a group without a prompt in place 1; it must return the group of prompt 'p1' there." },
        { "swapped groups", "returned 2 completions of prompt 'p1' in place 0; it must return 2 of prompt 'p0' there." },
        { "the first group twice", "returned 2 completions of prompt 'p0' in place 1; it must return 2 of prompt 'p1' there." },
        { "another answer", "returned prompt 'p1' with the answer '43', but it was asked for the one with the answer '42'." },
        { "no answer", "returned prompt 'p1' without an answer, but it was asked for the one with the answer '42'." },
        { "a completion too few", "returned 1 completions of prompt 'p1' in place 1; it must return 2 of prompt 'p1' there." },
        { "a completion too many", "returned 3 completions of prompt 'p1' in place 1; it must return 2 of prompt 'p1' there." },
        { "null prompt tokens", "returned null for the tokens of prompt 'p1'; there must be 1 to 8 (MaxPromptTokens)." },
        { "null completions", "returned null completions of prompt 'p1' in place 1; it must return 2 of prompt 'p1' there." },
        { "null completion", "returned null for completion 1 of prompt 'p1'." },
        { "null tokens", "returned null for the tokens of completion 1 of prompt 'p1'; a completion without tokens has an empty list." },
        { "null text", "returned null for the text of completion 1 of prompt 'p1'; a completion without text has an empty one." },
        { "unknown finish", "returned the finish reason 7 for completion 1 of prompt 'p1'; it must be EndToken or Truncated." },
        { "too few log-probs",
            "returned 2 log-probs for the 3 tokens of completion 1 of prompt 'p1'; there must be one per token, or null for none." },
        { "too many log-probs",
            "returned 4 log-probs for the 3 tokens of completion 1 of prompt 'p1'; there must be one per token, or null for none." },
        { "NaN log-prob", "returned the log-prob NaN for token 1 of completion 1 of prompt 'p1'; it must be finite and at most 0." },
        { "log-prob of 0", "returned the log-prob -Infinity for token 1 of completion 1 of prompt 'p1'; it must be finite and at most 0." },
        { "probability", "returned the log-prob 0.9 for token 1 of completion 1 of prompt 'p1'; it must be finite and at most 0." },
        { "NaN entropy",
            "returned the mean entropy NaN for completion 1 of prompt 'p1'; it must be finite and 0 or more, or null for none." },
        { "negative entropy",
            "returned the mean entropy -2 for completion 1 of prompt 'p1'; it must be finite and 0 or more, or null for none." },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task StepAsync_names_the_sampler_and_what_was_wrong(string fault, string problem)
    {
        using BigramPolicy policy = Toy.Policy();
        int scored = 0;
        var reward = new Toy.TestReward((_, _) => scored++);
        using var optimizer = new GrpoOptimizer(policy, Sampler(fault), reward, Toy.Options with { GroupSize = 2 });
        float[] weights = policy.Weights();

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync(Prompts));

        Assert.Equal("FixedSampler " + problem, error.Message);
        Assert.Equal((0, 0L), (scored, optimizer.Step));
        Assert.Equal(weights, policy.Weights());
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task EvaluateAsync_names_the_sampler_and_what_was_wrong(string fault, string problem)
    {
        using BigramPolicy policy = Toy.Policy();
        var options = new EvaluationOptions { AccuracySampling = Toy.Options.Sampling.ToGreedy(), Samples = 2 };
        var good = new FixedSampler(Good);
        IGroupSampler sampler = new FixedSampler(request => request.GroupSize == 1 ? Good(request) : Spoil(fault, request));
        await new RewardEvaluator(good, new Toy.LetterReward(), Prompts, options).EvaluateAsync(policy);

        var error = await Assert.ThrowsAsync<InvalidOperationException>(
            () => new RewardEvaluator(sampler, new Toy.LetterReward(), Prompts, options).EvaluateAsync(policy).AsTask());

        Assert.Equal("FixedSampler " + problem, error.Message);
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task RunAsync_of_a_trainer_names_the_sampler_and_what_was_wrong(string fault, string problem)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Sampler(fault), new Toy.LetterReward(), Toy.Options with { GroupSize = 2 });
        var trainer = new GrpoTrainer(optimizer, Prompts, new TrainerOptions { Steps = 1 });

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => trainer.TrainAsync());

        // The order of the prompts is the trainer's, so the prompt that is named may be the other one.
        Assert.Equal(Neutral("FixedSampler " + problem), Neutral(error.Message));
    }

    [Fact]
    public async Task RolloutAsync_takes_empty_completions_rounded_log_probs_and_a_prompt_that_comes_twice()
    {
        using BigramPolicy policy = Toy.Policy();
        var sampler = new FixedSampler(request => [.. request.Prompts.Select(prompt => Toy.Group(prompt, "", "abc") with
        {
            Completions =
            [
                new Completion([], "", FinishReason.Truncated),
                new Completion([2], "a", FinishReason.Truncated) { LogProbs = [1e-4f], MeanEntropy = 0 },
            ],
        })]);
        using var optimizer = new GrpoOptimizer(policy, sampler, new Toy.LetterReward(), Toy.Options with { GroupSize = 2 });

        Assert.Equal(2, (await optimizer.RolloutAsync([Prompts[0], Prompts[0]])).Count);
    }

    [Fact]
    public async Task RolloutAsync_escapes_what_a_prompts_id_holds()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, new FixedSampler(_ => [null!]), new Toy.LetterReward(), Toy.Options);

        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.RolloutAsync([Prompt.Create("a\u001b[2J", "b")]));

        Assert.Equal(@"FixedSampler returned null in place 0; it must return the group of prompt 'a\u{1B}[2J' there.", error.Message);
    }

    private static IReadOnlyList<Prompt> Prompts { get; } = [Prompt.Create("p0", "b", "42"), Prompt.Create("p1", "dec", "42")];

    private static string Neutral(string message) =>
        message.Replace("'p0'", "'p1'", StringComparison.Ordinal).Replace("place 0", "place 1", StringComparison.Ordinal);

    private static FixedSampler Sampler(string fault) => new(request => Spoil(fault, request));

    private static IReadOnlyList<RolloutGroup> Good(RolloutRequest request) =>
        [.. request.Prompts.Select(prompt => Toy.Group(prompt, [.. Enumerable.Repeat("abc", request.GroupSize)]))];

    private static IReadOnlyList<RolloutGroup> Spoil(string fault, RolloutRequest request)
    {
        IReadOnlyList<RolloutGroup> good = Good(request);
        (RolloutGroup first, RolloutGroup group) = (good[0], good[1]);
        Completion completion = group.Completions[1];
        return fault switch
        {
            "null" => null!,
            "no group" => [],
            "a group more" => [first, group, group],
            "null group" => [first, null!],
            "null prompt" => [first, group with { Prompt = null! }],
            "swapped groups" => [group, first],
            "the first group twice" => [first, first],
            "another answer" => [first, group with { Prompt = group.Prompt with { Answer = "43" } }],
            "no answer" => [first, group with { Prompt = group.Prompt with { Answer = null } }],
            "a completion too few" => [first, group with { Completions = [completion] }],
            "a completion too many" => [first, group with { Completions = [completion, completion, completion] }],
            "null completions" => [first, group with { Completions = null! }],
            "null prompt tokens" => [first, group with { PromptTokenIds = null! }],
            "prompt token 10" => [first, group with { PromptTokenIds = [10, 2] }],
            "prompt token -7" => [first, group with { PromptTokenIds = [-7] }],
            "prompt without tokens" => [first, group with { PromptTokenIds = [] }],
            "prompt too long" => [first, group with { PromptTokenIds = [2, 3, 4, 5, 6, 7, 8, 9, 2] }],
            _ => [first, group with { Completions = [group.Completions[0], Spoil(fault, completion)] }],
        };
    }

    private static Completion Spoil(string fault, Completion completion) => fault switch
    {
        "last token 10" => completion with { TokenIds = [2, 3, 10] },
        "first token 10" => completion with { TokenIds = [10, 3, 2] },
        "token of the largest int" => completion with { TokenIds = [int.MaxValue, 3, 2] },
        "token -1" => completion with { TokenIds = [2, 3, -1] },
        "completion too long" => completion with { TokenIds = [2, 3, 4, 2, 3, 4, 2] },
        "null completion" => null!,
        "null tokens" => completion with { TokenIds = null! },
        "null text" => completion with { Text = null! },
        "unknown finish" => completion with { FinishReason = (FinishReason)7 },
        "too few log-probs" => completion with { LogProbs = [-1, -1] },
        "too many log-probs" => completion with { LogProbs = [-1, -1, -1, -1] },
        "NaN log-prob" => completion with { LogProbs = [-1, float.NaN, -1] },
        "log-prob of 0" => completion with { LogProbs = [-1, float.NegativeInfinity, -1] },
        "probability" => completion with { LogProbs = [-1, 0.9f, -1] },
        "NaN entropy" => completion with { MeanEntropy = double.NaN },
        "negative entropy" => completion with { MeanEntropy = -2 },
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, "Not one of the faults."),
    };
}
