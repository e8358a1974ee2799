using CsCheck;
using Grpo.Losses;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Scored groups of random tokens, lengths and advantages, and the options of the step that learns from them.</summary>
/// <param name="Groups">At least one, of two or more completions.</param>
/// <param name="Options">No clipping, no step: what is left is loss and gradient.</param>
/// <param name="Family">The family of the model.</param>
/// <param name="Tied">Whether the model's head is its embedding.</param>
/// <param name="Pick">What an optimization makes its own sizes of.</param>
internal sealed record RandomUpdate(IReadOnlyList<ScoredGroup> Groups, GrpoOptions Options, string Family, bool Tied, int Pick)
{
    /// <summary>Groups that differ in size, prompts that repeat, completions of 1 to 12 tokens, some of advantage 0.</summary>
    public static Gen<RandomUpdate> Small { get; } = Of(Group(2, 4, 1, 12).Array[1, 4]);

    /// <summary>At least 3 · 3 · 30 = 270 completion tokens: more than the 256 rows whose logits are computed at a time.</summary>
    public static Gen<RandomUpdate> Large { get; } = Of(Group(3, 4, 30, 40).Array[3, 4]);

    private static Gen<int[]> Tokens(int from, int to) => Gen.Int[1, 11].Array[from, to];

    private static Gen<ScoredGroup> Group(int fromRows, int toRows, int fromTokens, int toTokens) => Gen.Select(
        Gen.OneOf(Tokens(1, 8), Gen.Const<int[]>([5, 6, 7])),
        Gen.Select(Tokens(fromTokens, toTokens), Gen.OneOf(Gen.Double[-2, 2], Gen.Const(0.0))).Array[fromRows, toRows],
        (prompt, rows) => new ScoredGroup(
            new RolloutGroup(
                Prompt.Create("p", "p"), prompt, [.. rows.Select(row => new Completion(row.Item1, "", FinishReason.EndToken))]),
            [.. rows.Select(row => (Reward)row.Item2)],
            [.. rows.Select((row, i) => i == 0 ? 1 : row.Item2)]));      // at least one has something to teach

    private static Gen<RandomUpdate> Of(Gen<ScoredGroup[]> groups) => Gen.Select(
        groups,
        Gen.Select(Gen.Enum<LossReduction>(), Gen.Bool, Gen.Bool, Gen.Int[1, 2], Gen.Double[0.6, 1.5]),
        TinyModels.AnyFamily,
        Gen.Bool,
        Gen.Int[0, 1000],
        (scored, options, family, tied, pick) => new RandomUpdate(
            scored, OptionsOf(options.Item1, options.Item2, options.Item3, options.Item4, options.Item5), family, tied, pick));

    private static GrpoOptions OptionsOf(LossReduction reduction, bool hasKl, bool hasEntropy, int updates, double temperature) => new()
    {
        Reduction = reduction,
        KlCoefficient = hasKl ? 0.04 : 0,
        EntropyCoefficient = hasEntropy ? 0.01 : 0,
        UpdatesPerRollout = updates,
        LearningRate = 0,
        AdamBeta1 = 0,                 // the first moment is then the gradient
        MaxGradientNorm = null,
        MicroBatchSize = 4096,
        SharePrompts = false,
        Sampling = new SamplingOptions { Temperature = temperature, MaxCompletionTokens = 40 },
    };
}
