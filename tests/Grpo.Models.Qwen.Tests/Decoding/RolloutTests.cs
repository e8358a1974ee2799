using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Optimization;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// Rollouts in 8 bits, the one way to decode that does not draw from the policy itself: how far off it is, and who says so.
/// </summary>
public sealed class RolloutTests
{
    private static readonly CharTokenizer Tokenizer = new("abcdefghijklmnopqrstuvwxyz");

    private static readonly Prompt[] Prompts =
        [.. new[] { "a", "the cat", "go", "seven", "to be or not", "x", "where", "ab" }
            .Select((text, i) => Prompt.Create($"p{i}", text.Replace(" ", "", StringComparison.Ordinal)))];

    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public async Task Log_probs_of_8_bit_rollouts_differ_a_little_from_those_of_training_and_the_update_says_by_how_much(string family)
    {
        using var policy = new QwenPolicy(TinyModels.Uneven(Config(family), seed: 3)) { Int8Rollouts = true };
        var reward = RewardFunction.Create("length", (_, completion) => completion.TokenIds.Count);
        using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(Tokenizer, new PlainTemplate()), reward, new GrpoOptions
        {
            GroupSize = 4,
            PromptsPerStep = 8,
            Sampling = new SamplingOptions { MaxCompletionTokens = 24, MaxPromptTokens = 16 },
        });
        StepReport report = await optimizer.StepAsync(Prompts);
        LogProbDifference rounded = report.Updates.Single().SamplerDifference!.Value;
        Assert.InRange(rounded.Mean, 1e-4, 0.05);
        policy.Int8Rollouts = false;
        LogProbDifference exact = (await optimizer.StepAsync(Prompts)).Updates.Single().SamplerDifference!.Value;
        Assert.InRange(exact.Mean, 0, 1e-5);
    }

    // Widths that can be multiplied in 8 bits.
    private static DecoderConfig Config(string family) =>
        TinyModels.CpuConfig(family: family) with { VocabularySize = Tokenizer.VocabularySize };
}
