using Grpo.Modeling;
using Grpo.Testing;
using Microsoft.Extensions.AI;

namespace Grpo.Core.Tests.Rollouts;

/// <summary>A tokenizer or a chat template that returns nonsense is named, wherever it is asked.</summary>
public sealed class CheckedTextTests
{
    private static readonly SupervisedExample Example = new(Toy.Prompts[0], "abc.");

    /// <summary>What is wrong, and the sentence that says so. The tokenizer has the ids 0 to 9.</summary>
    public static TheoryData<string, string> Faults => new()
    {
        { "no ids", "FaultyTokenizer.VocabularySize is 0 but must be 1 or more." },
        { "negative size", "FaultyTokenizer.VocabularySize is -3 but must be 1 or more." },
        { "null ends", "FaultyTokenizer.EndTokenIds is null; it must be a set, which may be empty where the chat template names an end." },
        { "end of 10", "FaultyTokenizer.EndTokenIds holds 10, but ids are 0 to 9 (VocabularySize)." },
        { "end of -1", "FaultyTokenizer.EndTokenIds holds -1, but ids are 0 to 9 (VocabularySize)." },
        { "pad of 10", "FaultyTokenizer.PadTokenId is 10, but ids are 0 to 9 (VocabularySize)." },
        { "pad of -1", "FaultyTokenizer.PadTokenId is -1, but ids are 0 to 9 (VocabularySize)." },
        { "null ids", "FaultyTokenizer.Encode returned null for prompt 'p0'." },
        { "id of 10", "FaultyTokenizer.Encode returned for prompt 'p0', in place 1, the id 10, but ids are 0 to 9 (VocabularySize)." },
        { "id of -5", "FaultyTokenizer.Encode returned for prompt 'p0', in place 1, the id -5, but ids are 0 to 9 (VocabularySize)." },
        { "null text", "FaultyTemplate.Render returned null for prompt 'p0', which has 1 messages; a model needs at least one token." },
        { "empty text",
            "FaultyTemplate.Render returned an empty text for prompt 'p0', which has 1 messages; a model needs at least one token." },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Sampling_names_the_plug_in(string fault, string message) =>
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() =>
        {
            using BigramPolicy policy = Toy.Policy();
            var sampler = new PolicyGroupSampler(new FaultyTokenizer(fault), new FaultyTemplate(fault));
            sampler.SampleAsync(policy, Toy.Request(Toy.Prompts[0])).AsTask().GetAwaiter().GetResult();
        }).Message);

    [Theory]
    [MemberData(nameof(Faults))]
    public void Supervised_training_names_the_plug_in(string fault, string message) =>
        Assert.Equal(message, Assert.Throws<InvalidOperationException>(() =>
        {
            using BigramPolicy policy = Toy.Policy();
            _ = new SupervisedTrainer(policy, new SupervisedData([Example], new FaultyTokenizer(fault), new FaultyTemplate(fault)));
        }).Message);

    [Fact]
    public void Sampling_names_a_tokenizer_that_decodes_to_null()
    {
        using BigramPolicy policy = Toy.Policy();
        var sampler = new PolicyGroupSampler(new FaultyTokenizer("decodes to null"), new PlainTemplate());
        var request = Toy.Request(Toy.Prompts[0]) with { Sampling = new SamplingOptions { MaxCompletionTokens = 1 } };
        Assert.Equal(
            "FaultyTokenizer.Decode returned null for a completion of 1 tokens; it must return a text, which may be empty.",
            Assert.Throws<InvalidOperationException>(() => sampler.SampleAsync(policy, request).AsTask().GetAwaiter().GetResult()).Message);
    }

    [Fact]
    public void Sampling_refuses_an_id_that_the_policy_lacks()
    {
        using var policy = new BigramPolicy(vocabularySize: 5, seed: 11);
        Assert.Equal(
            // h: 2 + 7
            "CharTokenizer encodes prompt 'p3' with the id 9, but BigramPolicy has the ids 0 to 4. The tokenizer belongs to another model.",
            Assert.Throws<InvalidOperationException>(
                () => Toy.Sampler.SampleAsync(policy, Toy.Request(Toy.Prompts[3])).AsTask().GetAwaiter().GetResult()).Message);
    }

    [Fact]
    public void Supervised_training_refuses_a_prompt_without_tokens()
    {
        using BigramPolicy policy = Toy.Policy();
        Assert.Equal(
            "The prompt of example 'empty' has no tokens; a model needs at least one. Leave the example out.",
            Assert.Throws<ArgumentException>(() => new SupervisedTrainer(
                policy, new SupervisedData(
                    [new SupervisedExample(Prompt.Create("empty", ""), "abc.")], new FaultyTokenizer("none"),
                    new PlainTemplate()))).Message);
    }

    private sealed class FaultyTemplate(string fault) : IChatTemplate
    {
        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) => fault switch
        {
            "null text" => null!,
            "empty text" => "",
            _ => string.Concat(messages.Select(message => message.Text)),
        };
    }

    private sealed class FaultyTokenizer(string fault) : ITokenizer
    {
        public int VocabularySize => fault switch { "no ids" => 0, "negative size" => -3, _ => 10 };

        public IReadOnlySet<int> EndTokenIds => fault switch
        {
            "null ends" => null!,
            "end of 10" => new HashSet<int> { 1, 10 },
            "end of -1" => new HashSet<int> { -1 },
            _ => new HashSet<int> { 1 },
        };

        public int PadTokenId => fault switch { "pad of 10" => 10, "pad of -1" => -1, _ => 0 };

        public IReadOnlyList<int> Encode(string text) => fault switch
        {
            "null ids" => null!,
            "id of 10" => [2, 10],
            "id of -5" => [2, -5],
            _ => [.. text.Select(letter => letter == '.' ? 1 : letter - 'a' + 2)],
        };

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) => fault == "decodes to null" ? null! : "";
    }
}
