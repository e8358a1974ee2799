namespace Grpo.Models.Qwen.Cpu;

/// <summary>Some rows of one of a few weights: what a thread multiplies by at a time.</summary>
/// <param name="Weight">Which of the weights.</param>
/// <param name="From">Its first row.</param>
/// <param name="To">Behind the last.</param>
internal readonly record struct HostPart(int Weight, int From, int To)
{
    private const long MinNumbers = 1 << 14;           // some microseconds
    private const long MaxNumbers = 1 << 17;           // the last part of a product keeps the other threads waiting

    /// <summary>All rows of some weights, in parts that begin at multiples of 16.</summary>
    /// <param name="threads">That share them: enough parts of each weight that they can come and go.</param>
    /// <param name="weights">The weights.</param>
    internal static HostPart[] Cut(int threads, params IReadOnlyList<HostWeight> weights)
    {
        int most = Math.Max(32, 4 * threads);
        var parts = new List<HostPart>();
        for (int i = 0; i < weights.Count; i++)
        {
            int outputs = weights[i].Outputs;
            long numbers = (long)outputs * weights[i].Width;
            long count = Math.Clamp(numbers / MinNumbers, 1, Math.Max(most, numbers / MaxNumbers));
            int step = (int)((((outputs + count - 1) / count) + SkinnyKernel.Lanes - 1) / SkinnyKernel.Lanes * SkinnyKernel.Lanes);
            for (int from = 0; from < outputs; from += step)
            {
                parts.Add(new HostPart(i, from, Math.Min(outputs, from + step)));
            }
        }

        return [.. parts];
    }
}
