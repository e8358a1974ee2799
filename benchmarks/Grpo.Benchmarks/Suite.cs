using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>The results of a run, as the JSON file holds them.</summary>
/// <param name="Machine">The version of libtorch, the device and the number of threads.</param>
/// <param name="Shape">The name of the model's shape.</param>
/// <param name="Roof">The limits of the machine.</param>
/// <param name="Rows">The times of the cases.</param>
/// <param name="PeakBytes">The peak memory in bytes by the name of the measurement.</param>
/// <param name="Growth">The times and peaks of steps of several sizes.</param>
internal sealed record SuiteResult(
    string Machine, string Shape, Roofline Roof, IReadOnlyList<Row> Rows, IReadOnlyDictionary<string, long> PeakBytes,
    IReadOnlyList<GrowthMeasure> Growth);

/// <summary>Creates cases that are timed together.</summary>
/// <param name="owners">The list that receives what is disposed after them.</param>
internal delegate IReadOnlyList<Case> CaseList(List<IDisposable> owners);

/// <summary>Runs the requested parts of the benchmark and prints their tables.</summary>
internal sealed class Suite(Shape shape, Device device, int rounds)
{
    private readonly List<Row> _rows = [];
    private readonly Dictionary<string, long> _peaks = [];
    private readonly List<GrowthMeasure> _growth = [];

    public SuiteResult Run(IReadOnlyList<string> parts)
    {
        Roofline roof = MeasureRoof();
        Console.WriteLine($"{TorchBackend.Describe()}, {get_num_threads()} threads, {device}, shape {shape.Name}");
        Console.WriteLine(roof);
        Console.WriteLine($"| {"what",-44} | {"ms",10} | {"tokens/s",9} | {"bound",6} | {"against",-34} | quiet |");
        Console.WriteLine("|---|---:|---:|---:|---|---|");
        if (parts.Any(part => part is "model" or "decode" or "update" or "peers"))
        {
            RunModel(parts);
        }

        if (parts.Contains("pieces"))
        {
            Time(_ => PieceCases.LogProbs(2048));
            Time(PieceCases.AdamWStep);
            Time(_ => PieceCases.Sample(rows: 8));
        }

        if (parts.Contains("growth"))
        {
            RunGrowth();
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

        return new SuiteResult(
            $"{TorchBackend.Describe()}, {get_num_threads()} threads, {device}", shape.Name, roof, _rows, _peaks, _growth);
    }

    private void RunGrowth()
    {
        Console.WriteLine("| step | rollout, s | update, s | peak, GB |");
        Console.WriteLine("|---|---:|---:|---:|");
        foreach (GrowthPoint point in GrowthPoint.All)
        {
            GrowthMeasure measure = point.Measure(shape.Name);
            _growth.Add(measure);
            Console.WriteLine(
                FormattableString.Invariant($"| {point} | {measure.Rollout:F2} | {measure.Update:F2} | {measure.PeakBytes / 1e9:F2} |"));
        }
    }

    // Each case has a shape of its own.
    private void RunPlans()
    {
        Console.WriteLine("| run | planned, MB | measured, MB | planned / measured |");
        Console.WriteLine("|---|---:|---:|---:|");
        foreach (PlanCase run in PlanCase.All)
        {
            (long planned, long measured) = PlanAgainstPeak.Measure(run);
            (_peaks[$"plan of {run.Name}"], _peaks[run.Name]) = (planned, measured);
            Console.WriteLine(FormattableString.Invariant(
                $"| {run.Name} | {planned / 1e6:N0} | {measured / 1e6:N0} | {(double)planned / measured:F2} |"));
        }
    }

    private void RunModel(IReadOnlyList<string> parts)
    {
        using var model = new ModelCases(shape, device);
        foreach (CaseList make in CaseLists(model, parts))
        {
            Time(make);
        }
    }

    /// <summary>Returns the lists of cases of a model. The cases of a list are timed together and freed before the next list.</summary>
    /// <param name="model">The model.</param>
    /// <param name="parts">The requested parts of the benchmark.</param>
    public IReadOnlyList<CaseList> CaseLists(ModelCases model, IReadOnlyList<string> parts)
    {
        bool tiny = shape.Name == "tiny";
        IEnumerable<CaseList> decoding =
        [
            _ => tiny ? model.Prefill(16, 64) : model.Prefill(8, 256),
            .. (tiny ? [1, 16, 64] : new[] { 1, 8, 32 }).Select(rows => (CaseList)(owners =>
                model.Decode(rows, promptLength: tiny ? 64 : 256, tokensPerRun: tiny ? 32 : 4, rounds, owners))),
            _ => tiny ? model.Rollout(2, 8, 64, 64) : model.Rollout(1, 8, 64, 64),
        ];
        IEnumerable<CaseList> updates =
        [
            _ => model.LogProbs(1, 8, 128, 128),
            owners => tiny ? model.Update(16, 128, owners) : model.Update(4, 256, owners),
            owners => model.SharedPrompt(8, 128, 128, owners),
            owners => model.UpdateWithReference(tiny ? 2 : 1, 8, 64, 64, owners),
        ];
        return
        [
            .. parts.Any(part => part is "model" or "decode") ? decoding : [],
            .. parts.Any(part => part is "model" or "update") ? updates : [],
            .. parts.Contains("peers") ? PeerLists(model) : [],
        ];
    }

    // A list for each case: the peak memory of a process is then that of one case.
    private IEnumerable<CaseList> PeerLists(ModelCases model)
    {
        bool tiny = shape.Name == "tiny";
        return
        [
            .. PeerCases.PromptLengths.Select(length => (CaseList)(_ => model.Prefill(1, length))),
            .. from int8 in device.type == DeviceType.CPU ? [false, true] : (bool[])[false]
               from rows in PeerCases.Rows(shape)
               select (CaseList)(owners => model.DecodeAsPeer(rows, int8, rounds, owners)),
            _ => tiny ? model.Rollout(2, 8, 64, 64) : model.Rollout(1, 8, 64, 64),
            owners => [(tiny ? model.Update(16, 128, owners) : model.Update(4, 128, owners))[0]],
            owners => tiny ? model.SharedPrompt(8, 128, 128, owners) : model.SharedPrompt(4, 128, 32, owners),
        ];
    }

    // Each list of cases has its own roof, measured in the same rounds.
    private void Time(CaseList make)
    {
        var owners = new List<IDisposable>();
        try
        {
            using var scope = TensorScope.Begin();
            IReadOnlyList<Case> cases = make(owners);
            IReadOnlyList<Case> probes = Roofline.Probes(device, owners);
            Timing[] timings = Stopwatches.Compare([.. cases, .. probes], rounds);
            Roofline roof = Roofline.FromTimings(probes, timings[cases.Count..]);
            foreach (Row row in Row.FromTimings(cases, timings[..cases.Count], roof))
            {
                Print(row);
            }

            Console.WriteLine($"{roof}");
        }
        finally
        {
            owners.ForEach(owner => owner.Dispose());
        }
    }

    private Roofline MeasureRoof()
    {
        var owners = new List<IDisposable>();
        try
        {
            IReadOnlyList<Case> probes = Roofline.Probes(device, owners);
            return Roofline.FromTimings(probes, Stopwatches.Compare(probes, rounds));
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
