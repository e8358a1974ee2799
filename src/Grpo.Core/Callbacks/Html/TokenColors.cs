namespace Grpo.Callbacks;

/// <summary>Numbers as CSS classes of four depths; the empty class is no colour.</summary>
internal static class TokenColors
{
    /// <summary>ap1 to ap4 above 0, an1 to an4 below.</summary>
    public static string Advantage(double advantage) => Signed(advantage, "ap", "an", 0, 0.5, 1, 1.75);

    /// <summary>rp1 to rp4 for more probable now, rn1 to rn4 for less; the first depth begins at 5 %.</summary>
    public static string Ratio(double? ratio) =>
        ratio is { } value && double.IsFinite(value) ? Signed(value > 0 ? Math.Log(value) : -10, "rp", "rn", 0.05, 0.2, 0.7, 1.5) : string.Empty;

    /// <summary>e1 to e4; nats.</summary>
    public static string Entropy(double? entropy) =>
        entropy is { } value && double.IsFinite(value) ? Depth(value, "e", 0.05, 0.3, 0.8, 1.5) : string.Empty;

    private static string Signed(double value, string positive, string negative, params ReadOnlySpan<double> limits) =>
        value >= 0 ? Depth(value, positive, limits) : Depth(-value, negative, limits);

    private static string Depth(double value, string name, params ReadOnlySpan<double> limits)
    {
        int depth = 0;
        while (depth < limits.Length && value > limits[depth])
        {
            depth++;
        }

        return depth == 0 ? string.Empty : name + (char)('0' + depth);
    }
}
