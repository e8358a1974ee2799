using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>Runs the parts that were asked for and prints their table.</summary>
internal sealed class Suite(Shape shape, Device device, int rounds)
{
    private readonly List<Row> _rows = [];
    private readonly Dictionary<string, long> _peaks = [];

    public SuiteResult Run(IReadOnlyList<string> parts)
    {
        Roofline roof = Roofline.Measure(device);
        Console.WriteLine($"{TorchBackend.Describe()}, {get_num_threads()} threads, {device}, shape {shape.Name}");
        Console.WriteLine(roof);
        Console.WriteLine($"| {"what",-44} | {"ms",10} | {"tokens/s",9} | {"bound",6} | {"against",-34} | quiet |");
        Console.WriteLine("|---|---:|---:|---:|---|---|");
        if (parts.Contains("model"))
        {
            RunModel(roof);
        }

        if (parts.Contains("pieces"))
        {
            Time(roof, _ => PieceCases.LogProbs(2048));
            Time(roof, PieceCases.AdamWStep);
            Time(roof, _ => PieceCases.Draw(rows: 8));
        }

        if (parts.Contains("growth"))
        {
            foreach ((string axis, int value, TimeSpan rollout, TimeSpan update) in new[] { "G", "C", "P" }.SelectMany(axis => GrowthCases.Measure(shape, device, axis)))
            {
                Print(new Row($"step, {axis} = {value}, rollout", rollout.TotalSeconds, null, null, null, null, 0, 3));
                Print(new Row($"step, {axis} = {value}, update", update.TotalSeconds, null, null, null, null, 0, 3));
            }
        }

        if (parts.Contains("memory"))
        {
            foreach (string name in PeakMemory.Names)
            {
                _peaks[name] = PeakMemory.Measure(name, shape.Name);
                Console.WriteLine(FormattableString.Invariant($"peak of {name}: {_peaks[name] / (double)(1 << 30):F2} GiB"));
            }
        }

        if (parts.Contains("plan"))
        {
            RunPlans();
        }

        return new SuiteResult($"{TorchBackend.Describe()}, {get_num_threads()} threads, {device}", shape.Name, roof, _rows, _peaks);
    }

    // The shapes are those of the cases.
    private void RunPlans()
    {
        Console.WriteLine("| run | planned, MB | measured, MB | planned / measured |");
        Console.WriteLine("|---|---:|---:|---:|");
        foreach (PlanCase run in PlanCase.All)
        {
            (long planned, long measured) = PlanAgainstPeak.Measure(run);
            (_peaks[$"plan of {run.Name}"], _peaks[run.Name]) = (planned, measured);
            Console.WriteLine(FormattableString.Invariant($"| {run.Name} | {planned / 1e6:N0} | {measured / 1e6:N0} | {(double)planned / measured:F2} |"));
        }
    }

    private void RunModel(Roofline roof)
    {
        using var model = new ModelCases(shape, device);
        bool tiny = shape.Name == "tiny";
        Time(roof, _ => tiny ? model.Prefill(16, 64) : model.Prefill(8, 256));
        foreach (int rows in tiny ? [1, 16, 64] : new[] { 1, 8, 32 })
        {
            Time(roof, owners => model.Decode(rows, promptLength: tiny ? 64 : 256, tokensPerRun: tiny ? 32 : 4, rounds, owners));
        }

        Time(roof, _ => tiny ? model.Rollout(2, 8, 64, 64) : model.Rollout(1, 8, 64, 64));
        Time(roof, _ => model.LogProbs(1, 8, 128, 128));
        Time(roof, owners => tiny ? model.Update(16, 128, owners) : model.Update(4, 256, owners));
        Time(roof, owners => model.SharedPrompt(8, 128, 128, owners));
    }

    private void Time(Roofline roof, Func<List<IDisposable>, IReadOnlyList<Case>> make)
    {
        var owners = new List<IDisposable>();
        try
        {
            using var scope = TensorScope.Begin();
            IReadOnlyList<Case> cases = make(owners);
            foreach (Row row in Row.Of(cases, Stopwatches.Compare(cases, rounds), roof))
            {
                Print(row);
            }
        }
        finally
        {
            owners.ForEach(owner => owner.Dispose());
        }
    }

    private void Print(Row row)
    {
        _rows.Add(row);
        Console.WriteLine(row);
    }
}
