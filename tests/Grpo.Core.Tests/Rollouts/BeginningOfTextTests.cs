using Grpo.Modeling;
using Grpo.Rollouts;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.AI;

namespace Grpo.Core.Tests.Rollouts;

/// <summary>A template's beginning-of-text token is written once, whether or not the tokenizer adds one.</summary>
public sealed class BeginningOfTextTests
{
    // "^" is the token that begins a text, "$" the one that ends an answer.
    private static readonly Prompt Question = Prompt.Create("p", "ab");

    [Theory]
    [InlineData(true, "^", "^ab")]
    [InlineData(true, "", "^ab")]    // the tokenizer's own stays where the template writes none
    [InlineData(true, "^^", "^^^ab")] // a template that writes two keeps what the tokenizer makes of them
    [InlineData(false, "^", "^ab")]
    [InlineData(false, "", "ab")]
    public void Encode_writes_the_templates_token_once(bool addsToken, string start, string expected)
    {
        var tokenizer = new Beginning(addsToken);
        IReadOnlyList<int> ids = new PromptEncoder(tokenizer, new Starting(start)).Encode(Question, 10);
        Assert.Equal(expected, tokenizer.Decode(ids, skipSpecialTokens: false));
    }

    [Fact]
    public async Task Supervised_answers_have_no_token_that_begins_a_text()
    {
        using BigramPolicy policy = Toy.Policy();
        var data = new SupervisedData([new SupervisedExample(Question, "ba")], new Beginning(addsToken: true), new Starting("^"));
        var trainer = new SupervisedTrainer(policy, data, new SupervisedOptions { Steps = 1, BatchSize = 1 });
        await foreach (SupervisedReport report in trainer.RunAsync())
        {
            Assert.Equal(3, report.Tokens); // b, a and $
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_end_of_an_answer_is_not_the_token_that_begins_a_text(bool addsToken)
    {
        Assert.Equal([1, 3], new PromptEncoder(new Beginning(addsToken), new Starting("")).EndTokenIds.Order());
        Assert.Equal([1, 3], new PromptEncoder(new Beginning(addsToken), new Named()).EndTokenIds.Order());
    }

    private sealed class Beginning(bool addsToken) : ITokenizer
    {
        private const string Letters = "_.^$ab";

        public int VocabularySize => Letters.Length;

        public IReadOnlySet<int> EndTokenIds { get; } = new HashSet<int> { 1 };

        public int PadTokenId => 0;

        public IReadOnlyList<int> Encode(string text) =>
            [.. (addsToken ? "^" + text : text).Select(letter => Letters.IndexOf(letter, StringComparison.Ordinal))];

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) =>
            string.Concat(tokenIds.Select(id => skipSpecialTokens && id < 4 ? "" : Letters[id].ToString()));
    }

    private class Starting(string start) : IChatTemplate
    {
        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            start + string.Concat(messages.Select(message => message.Text + (message.Role == ChatRole.Assistant ? "$" : "")));
    }

    private sealed class Named() : Starting(""), IEndOfTurnTemplate
    {
        public string EndOfTurn => "$";
    }
}
