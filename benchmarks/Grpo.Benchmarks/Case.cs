namespace Grpo.Benchmarks;

/// <summary>A piece of work to time, with the least work that it has to do.</summary>
/// <param name="Name">The name of its row in the table.</param>
/// <param name="Tokens">The number of tokens in one run, or 0 if tokens do not matter.</param>
/// <param name="Run">Performs one run.</param>
internal sealed record Case(string Name, double Tokens, Action Run)
{
    /// <summary>
    /// The number of floating-point operations that the mathematics needs. The GEMM roof turns it into a bound on the time.
    /// </summary>
    public double Operations { get; init; }

    /// <summary>The number of floating-point operations in bfloat16 products.</summary>
    public double OperationsInBFloat16 { get; init; }

    /// <summary>The number of bytes that have to be read once. The bandwidth turns it into a bound on the time.</summary>
    public double Bytes { get; init; }

    /// <summary>The number of runs in each round, of which the fastest counts.</summary>
    public int Tries { get; init; } = 1;

    /// <summary>The name of the case that this one is compared with, or null for none.</summary>
    public string? Baseline { get; init; }
}
