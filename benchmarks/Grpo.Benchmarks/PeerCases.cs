namespace Grpo.Benchmarks;

/// <summary>The sizes and names of the cases that peers compute as well. The program of llama.cpp is compiled with this file too.</summary>
internal static class PeerCases
{
    /// <summary>The end of the name of an update that computes the prompt of a group once.</summary>
    public const string PromptOnce = "prompt once";

    /// <summary>The end of the name of an update that computes the prompt for each completion.</summary>
    public const string PromptPerCompletion = "prompt per completion";

    /// <summary>The number of tokens in the cache before the first run of a decoding case.</summary>
    public const int TokensBefore = 64;

    /// <summary>The lengths of the prompts to prefill, one at a time.</summary>
    public static IReadOnlyList<int> PromptLengths { get; } = [256, 2048];

    /// <summary>Returns the numbers of rows that are decoded together.</summary>
    public static IReadOnlyList<int> Rows(Shape shape) => shape.Name == "tiny" ? [1, 16] : [1, 8, 32];

    /// <summary>Returns the number of token steps in one run.</summary>
    public static int TokensPerRun(Shape shape) => shape.Name == "tiny" ? 32 : 4;

    /// <summary>Returns the number of tokens that all runs together append to a row: one run more than the rounds, as warm-up.</summary>
    public static int NewTokens(Shape shape, int rounds) => TokensPerRun(shape) * (rounds + 1);

    /// <summary>Returns the name of the peer's case that computes the same as a case of ours; null if it has none.</summary>
    /// <remarks>A peer that cannot share the prompt of a group computes it for each completion.</remarks>
    public static string? Counterpart(string name, IReadOnlyList<string> peerNames)
    {
        string unshared = name.Replace(PromptOnce, PromptPerCompletion, StringComparison.Ordinal);
        return peerNames.Contains(name) ? name : peerNames.Contains(unshared) ? unshared : null;
    }

    /// <summary>Returns the name of a prefill.</summary>
    public static string PrefillName(int length) => $"prefill 1 x {length}";

    /// <summary>Returns the name of a decoding case.</summary>
    public static string DecodeName(Shape shape, int rows, bool int8) =>
        $"{(int8 ? "int8" : "decode")} b={rows}, {TokensBefore} before, {TokensPerRun(shape)} steps";
}
