using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>Distributes the rows of a weight over threads.</summary>
internal static class RowBlocks
{
    private const int Rows = 64;
    private const long WorkPerThread = 1 << 20;        // multiplications; with less, waking a thread costs more than it saves

    /// <summary>Runs a function over all rows, in one part per thread.</summary>
    /// <param name="rows">The number of rows of the weight.</param>
    /// <param name="work">The number of multiplications in all.</param>
    /// <param name="run">The function. It gets the first row of a part and the end, exclusive; parts begin at multiples of 64.</param>
    internal static void ForEach(int rows, long work, Action<int, int> run)
    {
        int blocks = (rows + Rows - 1) / Rows;
        int parts = (int)Math.Clamp(work / WorkPerThread, 1, Math.Min(get_num_threads(), blocks));
        if (parts == 1)
        {
            run(0, rows);
            return;
        }

        Parallel.For(0, parts, new ParallelOptions { MaxDegreeOfParallelism = parts }, part =>
            run(Start(part), Math.Min(rows, Start(part + 1))));

        int Start(int part) => (int)((long)blocks * part / parts) * Rows;
    }
}
