using CsCheck;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// The law: every optimization leaves tokens, losses and gradients as they were. Each is held by itself, and all of them together, against
/// <see cref="SimplePath"/>, which has none, on random models of every family, prompts, lengths, groups and options.
/// </summary>
/// <remarks>
/// The parts have closer tests of their own: chunks of rows in TokenLogProbsTests and FusedLogProbsTests, streamed and 8-bit products in
/// <see cref="DecodingLinearTests"/>, shared prompts in <see cref="SharedPromptTests"/>, checkpointing to the bit in
/// <see cref="GradientCheckpointingTests"/>, the cache in <see cref="DecodingSessionTests"/>, merged adapters in LoraAdapterTests,
/// smaller micro-batches after a failed allocation in OutOfMemoryUpdateTests, sampling in CpuTokenSamplerTests and
/// DeviceTokenSamplerTests, AdamW in AdamWTests. Weights in 8 bits are no part of the law: they are another distribution,
/// which <see cref="RolloutTests"/> measures.
/// </remarks>
[Trait("Speed", "Slow")]
public sealed class OptimizationLawTests
{
    // Float32 sums in another order, relative to the largest gradient of the model: those of a key's bias nearly cancel,
    // what rounding left does not.
    // In 1,600 random cases none came to half of it.
    private const double Tolerance = 1e-5;

    // By which policy and reference differ: as after some steps. e^(difference) in the KL multiplies what rounding did
    // to log-probs far apart.
    private const double Step = 0.03;

    private const int Iterations = 15;

    private static readonly CharTokenizer Tokenizer = new(RandomRollout.Letters);    // 12 tokens: completions end early and late

    /// <summary>What makes rollouts fast.</summary>
    private static readonly Dictionary<string, RolloutChange> RolloutChanges = new()
    {
        ["a prompt run once for its group"] = new((sampling, _) => sampling),
        ["continuous batching"] = new((sampling, pick) => sampling with { MaxConcurrentSequences = 1 + (pick % 8) }),
        ["decoding in rounds"] = new((sampling, pick) => sampling with { MaxConcurrentSequences = 1 + (pick % 8) }, Joins: false),
        ["a bounded cache"] = new((sampling, pick) => sampling with
        {
            MaxCachedTokens = RandomRollout.LongestPrompt + sampling.MaxCompletionTokens + (pick % 150),
        }),
        ["steps in kernels of our own"] = new((sampling, _) => sampling, IsWide: true),
        ["an adapter beside the weights"] = new((sampling, _) => sampling, HasAdapter: true),
        ["a base in 4 bits"] = new((sampling, _) => sampling, IsWide: true, HasAdapter: true, HasFourBits: true),
        ["all of them"] = new(
            (sampling, pick) => sampling with { MaxConcurrentSequences = 2 + (pick % 7), MaxCachedTokens = 100 + pick }, IsWide: true,
            HasAdapter: true),
    };

    /// <summary>What makes updates fast and lean.</summary>
    private static readonly Dictionary<string, UpdateChange> UpdateChanges = new()
    {
        ["one pass over padded rows"] = new((options, _) => options),
        ["log-probs in chunks of rows"] = new((options, _) => options, Cases: RandomUpdate.Large),
        ["micro-batches by length"] = new((options, pick) => options with { MicroBatchSize = 1 + (pick % 7) }),
        ["a token budget"] = new((options, pick) => options with { MaxTokensPerMicroBatch = 1 + (pick % 90) }),
        ["shared prompts"] = new((options, _) => options with { SharePrompts = true }),
        ["gradient checkpointing"] = new((options, _) => options, Checkpoints: true),
        ["the adapter off as the reference"] = new((options, _) => options, HasAdapter: true),
        ["a base in 4 bits"] = new(
            (options, pick) => options with { SharePrompts = true, MicroBatchSize = 2 + (pick % 11) }, Checkpoints: true, HasAdapter: true,
            HasFourBits: true),
        ["all of them"] = new(
            (options, pick) =>
                options with { SharePrompts = true, MicroBatchSize = 2 + (pick % 11), MaxTokensPerMicroBatch = 200 + (pick % 300) },
            Checkpoints: true, HasAdapter: true, Cases: RandomUpdate.Large),
    };

    public static TheoryData<string> Rollouts => [.. RolloutChanges.Keys];

    public static TheoryData<string> Updates => [.. UpdateChanges.Keys];

    [Theory]
    [MemberData(nameof(Rollouts))]
    public void Tokens_and_log_probs_of_a_rollout_are_those_of_the_simple_path_with(string optimization)
    {
        RolloutChange change = RolloutChanges[optimization];
        int tokens = 0;
        RandomRollout.Any.Sample(given =>
        {
            using var policy = new QwenPolicy(With(
                change.HasAdapter, change.HasFourBits, Model(given.Family, change.IsWide, given.Tied, seed: given.Request.Seed)));
            using CausalLM? numbers = change.HasFourBits ? policy.Model.Dequantize() : null;
            RolloutRequest request = given.Request with { Sampling = change.Apply(given.Request.Sampling, given.Pick) };
            IReadOnlyList<RolloutGroup> groups = new PolicyGroupSampler(Tokenizer, new PlainTemplate())
                .SampleAsync(change.Joins ? policy : new WithoutJoining(policy), request).AsTask().GetAwaiter().GetResult();

            var simple = new SimplePath(numbers ?? policy.Model);
            Assert.Equal(request.Prompts.Select(prompt => prompt.Id), groups.Select(group => group.Prompt.Id));
            foreach (RolloutGroup group in groups)
            {
                Assert.Equal(request.GroupSize, group.Completions.Count);
                for (int sample = 0; sample < request.GroupSize; sample++)
                {
                    ulong key = CounterRandom.Key(request.Seed, request.Step, group.Prompt.Id, sample);
                    SimpleCompletion expected = simple.Complete(group.PromptTokenIds, key, request.Sampling, CharTokenizer.End);
                    AssertSame(expected, group.Completions[sample]);
                    tokens += expected.Decided;
                }
            }
        }, iter: Iterations, threads: 1);
        Assert.True(tokens > 100, $"Only {tokens} tokens were compared.");
    }

    [Theory]
    [MemberData(nameof(Updates))]
    public void Loss_and_gradients_of_an_update_are_those_of_the_simple_path_with(string optimization)
    {
        UpdateChange change = UpdateChanges[optimization];
        (change.Cases ?? RandomUpdate.Small).Sample(given =>
        {
            using var scope = TensorScope.Begin();
            using var policy = new QwenPolicy(With(
                change.HasAdapter, change.HasFourBits, Model(given.Family, isWide: false, given.Tied, seed: 7)));
            using CausalLM? numbers = change.HasFourBits ? policy.Model.Dequantize() : null;
            using var reference = new QwenReferenceModel(With(
                hasAdapter: false, change.HasFourBits,
                Model(given.Family, isWide: false, given.Tied, seed: 7, isMoved: !change.HasAdapter)));
            (UpdateReport[] expected, Dictionary<string, Tensor> gradients) =
                Update(new SimplePath(numbers ?? policy.Model), new SimplePath((CausalLM)reference.Module), given.Groups, given.Options);

            policy.Model.GradientCheckpointing = change.Checkpoints;
            (UpdateReport[] actual, Dictionary<string, Tensor> sameGradients) = Update(
                policy, change.HasAdapter ? new AdapterOffReference(policy) : reference, given.Groups,
                change.Apply(given.Options, given.Pick));

            Assert.Equal(given.Options.UpdatesPerRollout, actual.Length);
            Assert.Equal(expected.Length, actual.Length);
            Assert.All(expected.Zip(actual), pair => AssertSame(pair.First, pair.Second));
            Assert.Equal(gradients.Keys, sameGradients.Keys);
            float largest = gradients.Values.Max(gradient => gradient.abs().max().item<float>());
            foreach ((string name, Tensor gradient) in gradients)
            {
                TensorAssert.Near(gradient, sameGradients[name], Tolerance * largest, name);
            }
        }, iter: Iterations, threads: 1);
    }

    // Sizes that our own kernels decode, and sizes that are too uneven for that.
    private static CausalLM Model(string family, bool isWide, bool tied, ulong seed, bool isMoved = false)
    {
        DecoderConfig config = isWide ? TinyModels.CpuConfig(tied, family) : TinyModels.Config(tied, family);
        CausalLM model = TinyModels.Uneven(config with { VocabularySize = Tokenizer.VocabularySize }, seed);
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(seed);
        if (isMoved)
        {
            foreach (Parameter parameter in model.parameters())
            {
                parameter.add_(randn(parameter.shape, generator: generator) * Step);
            }
        }

        return model;
    }

    private static CausalLM With(bool hasAdapter, bool hasFourBits, CausalLM model)
    {
        if (hasFourBits)
        {
            using CausalLM numbers = model;
            model = new CausalLM(numbers.Config, fourBitBase: true);
            model.CopyWeightsFrom(numbers);
        }

        if (hasAdapter)
        {
            model.AddAdapter(LoraModels.Options);
            LoraModels.Train(model, deviation: Step);
        }

        return model;
    }

    private static (UpdateReport[] Reports, Dictionary<string, Tensor> Gradients) Update(
        IPolicy policy, IReferenceModel reference, IReadOnlyList<ScoredGroup> groups, GrpoOptions options)
    {
        using var folder = new TemporaryFolder();
        using var optimizer = new GrpoOptimizer(
            policy, new FixedSampler(), RewardFunction.Create("none", (_, _) => 0), options, options.KlCoefficient > 0 ? reference : null);
        UpdateReport[] reports = [.. optimizer.Update(groups)];
        optimizer.Save(folder.Path);
        using SafetensorsReader moments = SafetensorsReader.Open(folder.File("optimizer.safetensors"));
        return (reports, moments.Entries.Keys.Where(name => name.StartsWith("exp_avg.", StringComparison.Ordinal))
            .ToDictionary(name => name, moments.Read));
    }

    private static void AssertSame(UpdateReport expected, UpdateReport actual)
    {
        Assert.True(expected.GradientNorm > 0);
        Assert.Equal(expected.Loss, actual.Loss, Tolerance * Math.Max(1, Math.Abs(expected.Loss)));
        Assert.Equal(expected.GradientNorm, actual.GradientNorm, Tolerance * expected.GradientNorm);
        Assert.Equal(expected.Kl ?? 0, actual.Kl ?? 0, Tolerance * Math.Max(1, expected.Kl ?? 0));
    }

    private static void AssertSame(SimpleCompletion expected, Completion actual)
    {
        Assert.Equal(expected.TokenIds.Take(expected.Decided), actual.TokenIds.Take(expected.Decided));
        Assert.All(expected.LogProbs.Take(expected.Decided).Zip(actual.LogProbs!), pair => Assert.Equal(pair.First, pair.Second, 2e-5));
        if (expected.Decided == expected.TokenIds.Count)
        {
            Assert.Equal(expected.TokenIds.Count, actual.TokenIds.Count);
        }
    }

    private sealed record RolloutChange(
        Func<SamplingOptions, int, SamplingOptions> Apply, bool Joins = true, bool IsWide = false, bool HasAdapter = false,
        bool HasFourBits = false);

    private sealed record UpdateChange(
        Func<GrpoOptions, int, GrpoOptions> Apply, bool Checkpoints = false, bool HasAdapter = false, Gen<RandomUpdate>? Cases = null,
        bool HasFourBits = false);
}
