using CsCheck;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Prompts of random lengths and a request for their groups.</summary>
/// <param name="Request">Up to 32 completions of up to 20 tokens, greedy or not.</param>
/// <param name="Family">The family of the model.</param>
/// <param name="Tied">Whether the model's head is its embedding.</param>
/// <param name="Pick">What an optimization makes its own sizes of.</param>
internal sealed record RandomRollout(RolloutRequest Request, string Family, bool Tied, int Pick)
{
    /// <summary>Tokens of a prompt, at most.</summary>
    public const int LongestPrompt = 9;

    /// <summary>What prompts are made of.</summary>
    public const string Letters = "abcdefghij";

    private static readonly double[] Temperatures = [0, 0.7, 1, 1.4];

    /// <summary>All of them.</summary>
    public static Gen<RandomRollout> Any { get; } = Gen.Select(
        Gen.Char[Letters].Array[1, LongestPrompt].Array[1, 8],
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 20], Gen.Int[0, Temperatures.Length - 1], Gen.ULong, Gen.Int[0, 100]),
        TinyModels.AnyFamily,
        Gen.Bool,
        Gen.Int[0, 1000],
        (prompts, sizes, family, tied, pick) => new RandomRollout(
            new RolloutRequest
            {
                Prompts = [.. prompts.Select((letters, i) => Prompt.Create($"p{i}", new string(letters)))],
                GroupSize = sizes.Item1,
                Sampling = new SamplingOptions
                {
                    MaxCompletionTokens = sizes.Item2,
                    Temperature = Temperatures[sizes.Item3],
                    MaxPromptTokens = LongestPrompt,
                },
                Seed = sizes.Item4,
                Step = sizes.Item5,
            },
            family,
            tied,
            pick));
}
