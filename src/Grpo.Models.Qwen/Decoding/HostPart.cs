namespace Grpo.Models.Qwen;

/// <summary>Some rows of one of a few weights: what a thread multiplies by at a time.</summary>
/// <param name="Weight">Which of the weights.</param>
/// <param name="From">Its first row.</param>
/// <param name="To">Behind the last.</param>
internal readonly record struct HostPart(int Weight, int From, int To)
{
    private const long MinNumbers = 1 << 14;           // some microseconds
    private const int MaxParts = 32;                   // of a weight: as many as let threads come and go

    /// <summary>All rows of some weights, in parts that begin at multiples of 16.</summary>
    internal static HostPart[] Cut(params IReadOnlyList<HostWeight> weights)
    {
        var parts = new List<HostPart>();
        for (int i = 0; i < weights.Count; i++)
        {
            int outputs = weights[i].Outputs;
            long count = Math.Clamp((long)outputs * weights[i].Width / MinNumbers, 1, MaxParts);
            int step = (int)((((outputs + count - 1) / count) + SkinnyKernel.Lanes - 1) / SkinnyKernel.Lanes * SkinnyKernel.Lanes);
            for (int from = 0; from < outputs; from += step)
            {
                parts.Add(new HostPart(i, from, Math.Min(outputs, from + step)));
            }
        }

        return [.. parts];
    }
}
