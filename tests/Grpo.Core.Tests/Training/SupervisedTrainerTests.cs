using Grpo.Modeling;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.AI;

namespace Grpo.Core.Tests.Training;

public sealed class SupervisedTrainerTests : IDisposable
{
    private static readonly SupervisedExample[] Examples =
        [.. "abcdefgh".Select((letter, i) => new SupervisedExample(Prompt.Create($"e{i}", letter.ToString()), "ab"))];

    private readonly BigramPolicy _policy = Toy.Policy();
    private readonly EndTokenizer _tokenizer = new();

    [Fact]
    public async Task RunAsync_teaches_the_answer_and_its_end()
    {
        SupervisedReport[] reports = await All(
            Trainer(new SupervisedOptions { Steps = 60, BatchSize = 8, MicroBatchSize = 3, LearningRate = 0.2 }));
        Assert.Equal(Enumerable.Range(1, 60).Select(step => (long)step), reports.Select(report => report.Step));
        Assert.All(reports, report => Assert.Equal(24, report.Tokens)); // 8 answers of a, b and the end
        Assert.InRange(reports[0].Loss, 1.5, 3.5);                      // near log 10
        Assert.InRange(reports[^1].Loss, 0, 0.6);
        int a = Toy.Tokenizer.Id('a'), b = Toy.Tokenizer.Id('b'), h = Toy.Tokenizer.Id('h');
        Assert.InRange(_policy.Probability(h, a), 0.9, 1);
        Assert.InRange(_policy.Probability(a, b), 0.6, 1);              // "a" is a prompt too, and is followed by a
        Assert.InRange(_policy.Probability(b, CharTokenizer.End), 0.6, 1);
    }

    [Fact]
    public async Task RunAsync_has_the_mean_log_likelihood_of_the_answers_as_loss()
    {
        int h = Toy.Tokenizer.Id('h'), a = Toy.Tokenizer.Id('a'), b = Toy.Tokenizer.Id('b');
        double expected = -(Math.Log(_policy.Probability(h, a)) + Math.Log(_policy.Probability(a, b))
            + Math.Log(_policy.Probability(b, CharTokenizer.End))) / 3;
        var trainer = new SupervisedTrainer(
            _policy, new SupervisedData([Examples[7]], _tokenizer, new EndTemplate()), new SupervisedOptions { Steps = 1, BatchSize = 1 });
        Assert.Equal(expected, Assert.Single(await All(trainer)).Loss, 1e-6);
    }

    [Fact]
    public async Task RunAsync_does_not_depend_on_the_micro_batch_size()
    {
        var options = new SupervisedOptions { Steps = 3, BatchSize = 8, LearningRate = 0.01 };
        double[] whole = [.. (await All(Trainer(options with { MicroBatchSize = 100 }))).Select(report => report.Loss)];
        foreach (int size in new[] { 1, 3 })
        {
            using BigramPolicy other = Toy.Policy();
            var trainer = new SupervisedTrainer(
                other, new SupervisedData(Examples, _tokenizer, new EndTemplate()), options with { MicroBatchSize = size });
            Assert.All((await All(trainer)).Zip(whole), pair => Assert.Equal(pair.Second, pair.First.Loss, 1e-5));
        }
    }

    [Fact]
    public async Task RunAsync_leaves_the_weights_when_canceled_in_the_middle_of_a_step()
    {
        using var source = new CancellationTokenSource();
        float[] weights = _policy.Weights();
        int forwards = 0;
        _policy.OnLogProbs = () =>
        {
            if (++forwards == 2)
            {
                source.Cancel();
            }
        };
        SupervisedTrainer trainer = Trainer(new SupervisedOptions { Steps = 9, BatchSize = 8, MicroBatchSize = 2 });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => All(trainer, source.Token));
        Assert.Equal(weights, _policy.Weights());
        Assert.Null(_policy.Table.grad);
    }

    [Fact]
    public void Constructor_refuses_what_cannot_be_learned_from()
    {
        Assert.StartsWith("There are no examples to learn from.", Error(() => Trainer(examples: [])), StringComparison.Ordinal);
        // All that are too long at once: one prompt token, "ab" and the end.
        Assert.StartsWith(
            "8 of 8 examples must have 1 to 3 tokens (MaxTokens) and do not: 'e0' has 4, 'e1' has 4, 'e2' has 4, and 5 more. "
            + "Raise MaxTokens to 4, the longest, or leave them out of the data set.",
            Error(() => Trainer(new SupervisedOptions { MaxTokens = 3 })), StringComparison.Ordinal);
        SupervisedExample held = new(Prompt.Create("held", "abcd"), "ab");
        Assert.StartsWith(
            "1 of 2 held-out examples must have 1 to 4 tokens (MaxTokens) and do not: 'held' has 7.",
            Error(() => new SupervisedTrainer(
                _policy, Data(Examples) with { HeldOut = [Examples[0], held] }, new SupervisedOptions { MaxTokens = 4 })),
            StringComparison.Ordinal);
        Assert.Equal(
            "The chat template closes an assistant message without an end token; a model trained on that would never stop.",
            Error(() => Trainer(template: new PlainTemplate())));
    }

    [Theory]
    [InlineData(0, 0, 1e-5, "Steps is 0 but must be 1 or more. WarmupSteps is 0 but must be 0 to below Steps.")]
    [InlineData(5, 5, 1e-5, "WarmupSteps is 5 but must be 0 to below Steps.")]
    [InlineData(5, 0, 1.5, "LearningRate is 1.5 but must be 0 to 1.")]
    [InlineData(5, -1, 1e-5, "WarmupSteps is -1 but must be 0 to below Steps.")]
    [InlineData(5, 0, double.NaN, "LearningRate is NaN but must be 0 to 1.")]
    public void Constructor_refuses_options_out_of_range(long steps, long warmupSteps, double learningRate, string message) =>
        Assert.StartsWith(
            message, Error(() => Trainer(new SupervisedOptions { Steps = steps, WarmupSteps = warmupSteps, LearningRate = learningRate })),
            StringComparison.Ordinal);

    public void Dispose() => _policy.Dispose();

    private static async Task<SupervisedReport[]> All(SupervisedTrainer trainer, CancellationToken cancellationToken = default)
    {
        var reports = new List<SupervisedReport>();
        await foreach (SupervisedReport report in trainer.RunAsync(cancellationToken))
        {
            reports.Add(report);
        }

        return [.. reports];
    }

    private static string Error(Func<SupervisedTrainer> action) => Assert.Throws<ArgumentException>(action).Message;

    private SupervisedTrainer Trainer(
        SupervisedOptions? options = null, IReadOnlyList<SupervisedExample>? examples = null, IChatTemplate? template = null) =>
        new(_policy, new SupervisedData(examples ?? Examples, _tokenizer, template ?? new EndTemplate()), options);

    /// <summary>Examples whose answers end with a dot.</summary>
    internal static SupervisedData Data(params IReadOnlyList<SupervisedExample> examples) =>
        new(examples, new EndTokenizer(), new EndTemplate());

    /// <summary>Closes an assistant message with a dot, as chat templates do with their end token.</summary>
    internal sealed class EndTemplate : IChatTemplate
    {
        public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) =>
            string.Concat(messages.Select(message => message.Role == ChatRole.Assistant ? message.Text + "." : message.Text));
    }

    /// <summary>Reads that dot as the end token.</summary>
    internal sealed class EndTokenizer : ITokenizer
    {
        public int VocabularySize => Toy.Vocabulary;

        public IReadOnlySet<int> EndTokenIds => Toy.Tokenizer.EndTokenIds;

        public int PadTokenId => 0;

        public IReadOnlyList<int> Encode(string text) =>
            [.. text.Select(letter => letter == '.' ? CharTokenizer.End : Toy.Tokenizer.Id(letter))];

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) =>
            Toy.Tokenizer.Decode(tokenIds, skipSpecialTokens);
    }
}
