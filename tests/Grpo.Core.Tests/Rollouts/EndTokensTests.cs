using Grpo.Callbacks;
using Grpo.Core.Tests.Callbacks;
using Grpo.Evaluation;
using Grpo.Modeling;
using Grpo.Rollouts;
using Grpo.Tensors;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.AI;

namespace Grpo.Core.Tests.Rollouts;

/// <summary>Tokenizer and template come from different files, and one of them may name an end of which the other knows nothing.</summary>
public sealed class EndTokensTests
{
    // The letter d closes messages here; the tokenizer names the token 1 alone.
    private static readonly int D = Toy.Tokenizer.Id('d');

    [Fact]
    public async Task Rollouts_end_at_the_templates_end_of_a_message()
    {
        using BigramPolicy policy = Toy.Policy();
        var sampler = new PolicyGroupSampler(Toy.Tokenizer, new Closing("d"));
        Completion[] completions = [.. (await sampler.SampleAsync(policy, Toy.Request(Toy.Prompts) with { GroupSize = 64 }))
            .SelectMany(group => group.Completions)];
        Assert.All(completions, completion => Assert.DoesNotContain(D, completion.TokenIds.SkipLast(1)));
        Assert.All(completions, completion => Assert.Equal(
            completion.TokenIds[^1] == D || completion.TokenIds[^1] == CharTokenizer.End ? FinishReason.EndToken : FinishReason.Truncated,
            completion.FinishReason));
        Assert.Contains(completions, completion => completion.TokenIds[^1] == D && completion.TokenIds.Count < 6);
        Assert.Contains(completions, completion => completion.TokenIds[^1] == CharTokenizer.End && completion.TokenIds.Count < 6);
    }

    [Fact]
    public async Task Evaluations_end_at_the_templates_end_of_a_message()
    {
        using BigramPolicy policy = Toy.Policy();
        using (TensorScope.BeginNoGrad())
        {
            policy.Table[.., D] = 9; // d follows every letter: a completion that does not end there never does
        }

        var evaluator = new RewardEvaluator(
            new PolicyGroupSampler(Toy.Tokenizer, new Closing("d")), new Toy.LetterReward(), Toy.Prompts,
            new SamplingOptions { MaxCompletionTokens = 12 }.ToGreedy());
        EvaluationReport report = await evaluator.EvaluateAsync(policy);
        Assert.Equal(1, report.MeanCompletionTokens);
        Assert.All(report.Groups, group => Assert.Equal([D], Assert.Single(group.Completions).TokenIds));
    }

    [Fact]
    public async Task Supervised_training_teaches_the_templates_end_of_a_message()
    {
        using BigramPolicy policy = Toy.Policy();
        var trainer = new SupervisedTrainer(
            policy, new SupervisedData([new SupervisedExample(Prompt.Create("e", "h"), "ab")], Toy.Tokenizer, new Closing("d")),
            new SupervisedOptions { Steps = 60, BatchSize = 1, LearningRate = 0.2 });
        await foreach (SupervisedReport report in trainer.RunAsync())
        {
            Assert.Equal(3, report.Tokens); // a, b and d
        }

        Assert.InRange(policy.Probability(Toy.Tokenizer.Id('b'), D), 0.9, 1);
    }

    [Fact]
    public async Task Replays_end_at_the_templates_end_of_a_message()
    {
        var template = new Closing("d");
        using RecordedRun run = new(Toy.Options with { PromptsPerStep = 4 }) { Sampler = new PolicyGroupSampler(Toy.Tokenizer, template) };
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightStep step = record.Read(1);
        int ended = 0;
        for (int prompt = 0; prompt < step.Groups.Count; prompt++)
        {
            for (int sample = 0; sample < 6; sample++)
            {
                RegeneratedCompletion completion = await run.NewReplay().RegenerateAsync(step, prompt, sample, Toy.Tokenizer, template);
                Assert.Null(completion.FirstDifference);
                ended += completion.Completion.TokenIds is [.., int last] && last == D && completion.Completion.TokenIds.Count < 6 ? 1 : 0;
            }
        }

        Assert.InRange(ended, 1, 24);
    }

    [Fact]
    public void A_template_that_names_nothing_is_asked_to_render_an_answer()
    {
        Assert.Equal([0, 1], new PromptEncoder(new Marks(ends: [1]), new Template("!\n")).EndTokenIds.Order());
        Assert.Equal([0, 1], new PromptEncoder(new Marks(ends: [1]), new Template("\n!.")).EndTokenIds.Order());
        Assert.Equal([1], new PromptEncoder(new Marks(ends: [1]), new Template(".!")).EndTokenIds);  // an end token comes first
        Assert.Equal([1], new PromptEncoder(new Marks(ends: [1]), new Template("\n")).EndTokenIds);  // text ends nothing
        Assert.Equal([1], new PromptEncoder(new Marks(ends: [1]), new Template("")).EndTokenIds);
        Assert.Equal([0], new PromptEncoder(new Marks(ends: []), new Template("!")).EndTokenIds);
    }

    [Fact]
    public void A_template_that_renders_questions_only_leaves_the_tokenizers_ends() =>
        Assert.Equal([1], new PromptEncoder(Toy.Tokenizer, new QuestionsOnly()).EndTokenIds);

    [Theory]
    [InlineData("cd", "closes messages with 'cd', which is 2 tokens")]
    [InlineData("", "closes messages with '', which is 0 tokens")]
    public void An_end_of_a_message_that_is_not_one_token_is_refused(string end, string message)
    {
        Assert.Contains(message, Refusal(() => new PolicyGroupSampler(Toy.Tokenizer, new Closing(end))), StringComparison.Ordinal);
        Assert.Contains(message, Refusal(() => new PromptEncoder(Toy.Tokenizer, new Closing(end))), StringComparison.Ordinal);
        using BigramPolicy policy = Toy.Policy();
        Assert.Contains(
            message,
            Refusal(() => new SupervisedTrainer(
                policy, new SupervisedData([new SupervisedExample(Prompt.Create("e", "h"), "ab")], Toy.Tokenizer, new Closing(end)))),
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_without_any_end_token_is_refused()
    {
        Assert.Contains(
            "Nothing would end a completion", Refusal(() => new PolicyGroupSampler(new Marks(ends: []), new PlainTemplate())),
            StringComparison.Ordinal);
        Assert.Equal([1], new PromptEncoder(new Marks(ends: []), new Closing(".")).EndTokenIds);
    }

    private static string Refusal(Func<object> action) => Assert.Throws<ArgumentException>(() => { _ = action(); }).Message;

    /// <summary>Closes an assistant's message.</summary>
    private class Template(string end) : IChatTemplate
    {
        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            string.Concat(messages.Select(message => message.Role == ChatRole.Assistant ? message.Text + end : message.Text));
    }

    private sealed class Closing(string end) : Template(end), IEndOfTurnTemplate
    {
        public string EndOfTurn { get; } = end;
    }

    private sealed class QuestionsOnly : IChatTemplate
    {
        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            messages.Count == 1 ? messages[0].Text : throw new NotSupportedException("One question at a time.");
    }

    /// <summary>Letters with two special tokens, ! (0) and . (1), of which the decoded text shows neither.</summary>
    private sealed class Marks(int[] ends) : ITokenizer
    {
        public int VocabularySize => 128;

        public IReadOnlySet<int> EndTokenIds { get; } = ends.ToHashSet();

        public int PadTokenId => 0;

        public IReadOnlyList<int> Encode(string text) =>
            [.. text.Select(letter => letter is '!' or '.' ? "!.".IndexOf(letter, StringComparison.Ordinal) : letter)];

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) =>
            string.Concat(tokenIds.Select(id => id >= 2 ? ((char)id).ToString() : skipSpecialTokens ? "" : "!."[id].ToString()));
    }
}
