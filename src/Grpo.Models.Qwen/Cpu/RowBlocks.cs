using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>Shares the rows of a weight between threads.</summary>
internal static class RowBlocks
{
    private const int Rows = 64;
    private const long WorkPerThread = 1 << 20;        // multiplications; below, waking a thread costs more than it saves

    /// <summary>Runs a function over all rows, in one part per thread.</summary>
    /// <param name="rows">Rows of the weight.</param>
    /// <param name="work">Multiplications in all.</param>
    /// <param name="run">Gets the first row of a part and the row after its last; parts begin at multiples of 64.</param>
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
