namespace Grpo.Benchmarks;

/// <summary>What a run measured, as it is written to the JSON file.</summary>
/// <param name="Machine">libtorch, device and threads.</param>
/// <param name="Shape">The model's shape.</param>
/// <param name="Roof">What the machine can do at most.</param>
/// <param name="Rows">Times.</param>
/// <param name="PeakBytes">Peak memory by what was measured.</param>
/// <param name="Growth">Steps of several sizes.</param>
internal sealed record SuiteResult(
    string Machine, string Shape, Roofline Roof, IReadOnlyList<Row> Rows, IReadOnlyDictionary<string, long> PeakBytes, IReadOnlyList<GrowthMeasure> Growth);
