namespace Grpo.Benchmarks;

/// <summary>Something that is timed, with what it has to do at least.</summary>
/// <param name="Name">Its row in the table.</param>
/// <param name="Tokens">Tokens of one run; 0 where tokens are not what counts.</param>
/// <param name="Run">One run.</param>
internal sealed record Case(string Name, double Tokens, Action Run)
{
    /// <summary>Floating-point operations that the mathematics needs: bounds the time by the GEMM roof.</summary>
    public double Operations { get; init; }

    /// <summary>The same for products in bfloat16.</summary>
    public double OperationsInBFloat16 { get; init; }

    /// <summary>Bytes that have to be read once: bounds the time by the bandwidth.</summary>
    public double Bytes { get; init; }

    /// <summary>Runs in each round, of which the fastest counts.</summary>
    public int Tries { get; init; } = 1;

    /// <summary>The case that this one is compared with; null: none.</summary>
    public string? Baseline { get; init; }
}
