namespace Grpo.Models.Qwen.Quantization;

/// <summary>
/// The 256 values by which the scales of blocks are stored in 8 bits: a signed dynamic tree (Dettmers et al., arXiv:2110.02861).
/// </summary>
/// <remarks>
/// The decade from 10^(−d − 1) to 10^−d is cut into 2^(6 − d) equal parts, whose middles are values, for d from 0 to 6, with both signs. 0
/// and 1 are the other two. So steps are small near 0, and a block with an outlier does not coarsen the scales of its neighbors.
/// </remarks>
internal static class ScaleCodes
{
    private const int Decades = 7;

    private static readonly float[] Sorted = Create();

    /// <summary>The values by their codes, in ascending order. All are between −1 and 1.</summary>
    internal static ReadOnlySpan<float> Values => Sorted;

    /// <summary>Returns the code of the nearest value; of the lower one if both are equally near.</summary>
    /// <param name="value">A number from −1 to 1.</param>
    internal static byte Nearest(float value)
    {
        int found = Array.BinarySearch(Sorted, value);
        if (found >= 0)
        {
            return (byte)found;
        }

        int above = Math.Clamp(~found, 1, Sorted.Length - 1);
        return (byte)(value - Sorted[above - 1] <= Sorted[above] - value ? above - 1 : above);
    }

    private static float[] Create()
    {
        var values = new List<float> { 0, 1 };
        for (int decade = 0; decade < Decades; decade++)
        {
            int parts = 1 << (Decades - 1 - decade);
            for (int part = 0; part < parts; part++)
            {
                double middle = 0.1 + (0.9 * (part + 0.5) / parts);
                float value = (float)(middle * Math.Pow(10, -decade));
                values.Add(value);
                values.Add(-value);
            }
        }

        values.Sort();
        return [.. values];
    }
}
