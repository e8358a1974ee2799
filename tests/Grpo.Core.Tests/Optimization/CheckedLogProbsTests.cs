using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

/// <summary>
/// A policy or a reference model whose log-probs have another shape, type or gradient than agreed is named, and nothing is trained.
/// </summary>
public sealed class CheckedLogProbsTests : IDisposable
{
    // One group of two completions of three tokens: [B, C] = [2, 3].
    private const string Wanted = "; it must return [B, C] = [2, 3] Float32 on cpu.";

    private readonly BigramPolicy _inner = Toy.Policy();

    public static TheoryData<string, string> Faults => new()
    {
        { "null", " returned null; it must return [B, C] float32." },
        { "one sum per row", " returned [2] Float32 on cpu" + Wanted },
        { "a token too few", " returned [2, 2] Float32 on cpu" + Wanted },
        { "transposed", " returned [3, 2] Float32 on cpu" + Wanted },
        { "one row", " returned [1, 3] Float32 on cpu" + Wanted },
        { "double precision", " returned [2, 3] Float64 on cpu" + Wanted },
        { "sixteen bits", " returned [2, 3] BFloat16 on cpu" + Wanted },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public void Update_names_a_policy(string fault, string message)
    {
        using var optimizer = new GrpoOptimizer(new Faulty(_inner, fault), Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        Assert.Equal("Faulty.LogProbs" + message, Error(optimizer));
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void Update_names_a_policy_that_gives_entropies(string fault, string message)
    {
        using var optimizer = new GrpoOptimizer(
            new Faulty(_inner, fault), Toy.Sampler, new Toy.LetterReward(), Toy.Options with { EntropyCoefficient = 0.1 });
        Assert.Equal("Faulty.LogProbsAndEntropies (entropies)" + message, Error(optimizer));
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void Update_names_a_reference(string fault, string message)
    {
        using var optimizer = new GrpoOptimizer(
            _inner, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { KlCoefficient = 0.1 }, new Faulty(_inner, fault));
        Assert.Equal("Faulty.LogProbs" + message, Error(optimizer));
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task StepAsync_names_a_reference_of_the_reward(string fault, string message)
    {
        var sampler = new FixedSampler(request => [.. request.Prompts.Select(prompt => Toy.Group(prompt, "abc", "def"))]);
        GrpoOptions options = Toy.Options with { GroupSize = 2, KlCoefficient = 0.1, KlEstimator = KlEstimator.K1InReward };
        using var optimizer = new GrpoOptimizer(_inner, sampler, new Toy.LetterReward(), options, new Faulty(_inner, fault));
        Assert.Equal(
            "Faulty.LogProbs" + message,
            (await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync([Toy.Prompts[0]]))).Message);
    }

    [Fact]
    public void Update_names_a_reference_that_is_trained()
    {
        using var optimizer = new GrpoOptimizer(
            _inner, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { KlCoefficient = 0.1 }, new Faulty(_inner, "gradient"));
        Assert.Equal("Faulty.LogProbs returned a tensor with a gradient; the reference is frozen, so return detach().", Error(optimizer));
    }

    public static TheoryData<string, string> BadGroups => new()
    {
        { "null", "A scored group is null." },
        { "token 10", "The groups hold token 10 in place 2 of completion 0 of prompt 'p0'; token ids of BigramPolicy are 0 to 9." },
        { "token -1", "The groups hold token -1 in place 0 of completion 0 of prompt 'p0'; token ids of BigramPolicy are 0 to 9." },
        { "null tokens",
            "The groups hold null for the tokens of completion 0 of prompt 'p0'; a completion without tokens has an empty list." },
        { "null completion", "The groups hold null for completion 0 of prompt 'p0'." },
        { "no prompt tokens", "The groups hold 0 tokens of prompt 'p0'; there must be at least one." },
        { "an advantage too few", "A group of 2 completions has 2 rewards and 1 advantages; there must be one each per completion." },
        { "a reward too many", "A group of 2 completions has 3 rewards and 2 advantages; there must be one each per completion." },
    };

    [Theory]
    [MemberData(nameof(BadGroups))]
    public void Update_refuses_groups_that_cannot_be_trained_on(string fault, string message)
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "abc", "def");
        ScoredGroup scored = Toy.Scored(group, 1, -1);
        scored = fault switch
        {
            "null" => null!,
            "token 10" => scored with { Group = With(group.Completions[0] with { TokenIds = [2, 3, 10] }) },
            "token -1" => scored with { Group = With(group.Completions[0] with { TokenIds = [-1] }) },
            "null tokens" => scored with { Group = With(group.Completions[0] with { TokenIds = null! }) },
            "null completion" => scored with { Group = With(null!) },
            "no prompt tokens" => scored with { Group = group with { PromptTokenIds = [] } },
            "an advantage too few" => scored with { Advantages = [1] },
            _ => scored with { Rewards = [1, 1, 1] },
        };
        using var optimizer = new GrpoOptimizer(_inner, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        float[] weights = _inner.Weights();

        Assert.StartsWith(message, Assert.Throws<ArgumentException>(() => optimizer.Update([scored])).Message, StringComparison.Ordinal);

        Assert.Equal(weights, _inner.Weights());
        Assert.Equal(0, optimizer.Step);

        RolloutGroup With(Completion first) => group with { Completions = [first, group.Completions[1]] };
    }

    public void Dispose() => _inner.Dispose();

    private static string Error(GrpoOptimizer optimizer)
    {
        ScoredGroup group = Toy.Scored(Toy.Group(Toy.Prompts[0], "abc", "def"), 1, -1);
        string message = Assert.Throws<InvalidOperationException>(() => optimizer.Update([group])).Message;
        Assert.Equal(0, optimizer.Step);
        return message;
    }

    private sealed class Faulty(BigramPolicy inner, string fault) : IEntropyPolicy, IVocabularyPolicy, IReferenceModel
    {
        public nn.Module Module => inner.Module;

        nn.Module? IReferenceModel.Module => null;

        public int VocabularySize => inner.VocabularySize;

        public Tensor LogProbs(TokenBatch batch, double temperature)
        {
            using var scope = TensorScope.Begin();
            Tensor result = inner.LogProbs(batch, temperature);
            return fault switch
            {
                "null" => null!,
                "one sum per row" => scope.Keep(result.sum(1L)),
                "a token too few" => scope.Keep(result.narrow(1, 0, 2)),
                "transposed" => scope.Keep(result.t()),
                "one row" => scope.Keep(result.narrow(0, 0, 1)),
                "double precision" => scope.Keep(result.to(ScalarType.Float64)),
                "sixteen bits" => scope.Keep(result.to(ScalarType.BFloat16)),
                _ => scope.Keep(result.detach().requires_grad_(true)),
            };
        }

        public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature) =>
            new(inner.LogProbs(batch, temperature), LogProbs(batch, temperature));

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            inner.StartDecoding(prompts, groupSize, maxNewTokens);

        public void Save(string directory) => inner.Save(directory);

        public void Load(string directory) => inner.Load(directory);
    }
}
