namespace Grpo.Models.Qwen.Quantization;

/// <summary>
/// The 16 levels of NF4 (NormalFloat, 4 bits), the values to which a weight is rounded after division by its block's scale.
/// </summary>
/// <remarks>
/// The levels are quantiles of a normal distribution, scaled to −1 and 1, with 8 steps above an exact 0 and 7 below (Dettmers et al.,
/// arXiv:2305.14314, appendix E). So normally distributed weights use all levels about equally often.
/// </remarks>
internal static class Nf4Codes
{
    private static readonly float[] Thresholds = [.. Levels[..^1].ToArray().Zip(Levels[1..].ToArray(), Middle)];
    private static readonly float[] Pairs =
        [.. Enumerable.Range(0, 256).SelectMany(codes => new[] { Levels[codes >> 4], Levels[codes & 15] })];

    /// <summary>The levels by their codes, in ascending order.</summary>
    internal static ReadOnlySpan<float> Levels =>
    [
        -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f, -0.18477343022823334f,
        -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
        0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
    ];

    /// <summary>The two levels of each byte of codes, that of its high half first. [256, 2] in row-major order.</summary>
    internal static ReadOnlySpan<float> LevelsOfBytes => Pairs;

    /// <summary>The code of the level 0.</summary>
    internal const int Zero = 7;

    /// <summary>Returns the code of the nearest level; of the lower one if both are equally near.</summary>
    /// <param name="value">A number from −1 to 1.</param>
    internal static int Nearest(float value)
    {
        // A search by halves in the 15 thresholds.
        int code = value > Thresholds[7] ? 8 : 0;
        code += value > Thresholds[code + 3] ? 4 : 0;
        code += value > Thresholds[code + 1] ? 2 : 0;
        return code + (value > Thresholds[code] ? 1 : 0);
    }

    private static float Middle(float low, float high) => (float)(((double)low + high) / 2);
}
