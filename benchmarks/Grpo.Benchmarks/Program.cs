using System.CommandLine;
using System.Text.Json;
using Grpo.Benchmarks;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

var shapeOption = new Option<string>("--shape") { Description = "tiny, small, 0.5b or 1.5b.", DefaultValueFactory = _ => "tiny" };
shapeOption.AcceptOnlyFromAmong([.. Shape.All.Select(shape => shape.Name)]);
var deviceOption = new Option<string>("--device") { Description = "cpu, cuda or cuda:n.", DefaultValueFactory = _ => "cpu" };
var roundsOption = new Option<int>("--rounds")
{
    Description = "The number of rounds. The result is their median.",
    DefaultValueFactory = _ => 5,
};
var partsOption = new Option<string[]>("--parts")
{
    Description = "Any of model, pieces, memory, growth, plan and peers; or decode or update for a part of model. "
        + "Default: model and pieces.",
    AllowMultipleArgumentsPerToken = true,
    DefaultValueFactory = _ => ["model", "pieces"],
};
partsOption.AcceptOnlyFromAmong("model", "decode", "update", "pieces", "memory", "growth", "plan", "peers");
var jsonOption = new Option<string?>("--json") { Description = "The file to write the results to, as JSON." };
var plotOption = new Option<string?>("--plot") { Description = "The file for a picture of growth, as SVG." };
var growthOption = new Option<string?>("--growth-of")
{
    Description = "The measurement of a new process for --parts growth.",
    Hidden = true,
};
var peakOption = new Option<string?>("--peak-of") { Description = "The measurement of a new process for --parts memory.", Hidden = true };
var planOption = new Option<string?>("--plan-of") { Description = "The run of a new process for --parts plan.", Hidden = true };
var folderOption = new Option<string?>("--folder") { Description = "The checkpoint of a new process for --parts plan.", Hidden = true };
var writeOption = new Option<bool>("--write") { Description = "True to write that checkpoint.", Hidden = true };
var againstOption = new Option<string?>("--against")
{
    Description = "The built program of another commit, or of a peer for --parts peers. Runs each case of model or peers in both in turn "
        + "and prints the ratios of their times.",
};
var againstArgumentsOption = new Option<string>("--against-arguments")
{
    Description = "Arguments for that program alone, separated by spaces.",
    DefaultValueFactory = _ => "",
};
var caseOption = new Option<string[]>("--case")
{
    Description = "With --against, only the cases of these names.",
    AllowMultipleArgumentsPerToken = true,
};
var serveOption = new Option<int?>("--serve") { Description = "The list of cases of a new process for --against.", Hidden = true };
var root = new RootCommand("Measures Grpo and compares it with what this machine can do.")
{
    shapeOption, deviceOption, roundsOption, partsOption, jsonOption, plotOption, peakOption, growthOption, planOption,
    folderOption, writeOption, againstOption, againstArgumentsOption, caseOption, serveOption,
};
root.SetAction(parsed =>
{
    TorchBackend.EnsureAvailable();
    Shape shape = Shape.All.First(known => known.Name == parsed.GetValue(shapeOption));
    if (parsed.GetValue(peakOption) is { } name)
    {
        Console.WriteLine(FormattableString.Invariant($"{PeakMemory.Run(name, shape)}"));
        return;
    }

    if (parsed.GetValue(planOption) is { } run)
    {
        PlanCase planCase = PlanCase.All.First(known => known.Name == run);
        if (parsed.GetValue(writeOption))
        {
            PlanAgainstPeak.Write(planCase, parsed.GetValue(folderOption)!);
            return;
        }

        PlanAgainstPeak.Run(planCase, parsed.GetValue(folderOption));
        return;
    }

    if (parsed.GetValue(growthOption) is { } step)
    {
        GrowthPoint.All.First(known => known.ToString() == step).Run(shape);
        return;
    }

    Device device = TorchBackend.ParseDevice(parsed.GetRequiredValue(deviceOption));
    string[] parts = parsed.GetRequiredValue(partsOption);
    if (device.type != DeviceType.CPU && parts.Any(part => part is "memory" or "growth" or "plan"))
    {
        throw new NotSupportedException(
            $"memory, growth and plan measure the main memory of a process, not the memory of {device}. Omit them, or omit --device.");
    }

    int rounds = parsed.GetValue(roundsOption);
    if (parsed.GetValue(serveOption) is { } list)
    {
        Pairs.Serve(new Suite(shape, device, rounds), shape, device, parts, list);
        return;
    }

    if (parsed.GetValue(againstOption) is { } other)
    {
        string[] arguments = ["--shape", shape.Name, "--device", $"{device}", "--rounds", $"{rounds}", "--parts", .. parts];
        string[] additional = parsed.GetRequiredValue(againstArgumentsOption).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Pairs.Run(new OtherProgram(other, additional), arguments, rounds, parsed.GetValue(caseOption) ?? []);
        return;
    }

    SuiteResult result = new Suite(shape, device, rounds).Run(parts);
    if (parsed.GetValue(plotOption) is { } picture && result.Growth.Count > 0)
    {
        File.WriteAllText(picture, GrowthPlot.Draw(result.Growth));
    }

    if (parsed.GetValue(jsonOption) is { } file)
    {
        File.WriteAllText(file, JsonSerializer.Serialize(result, new JsonSerializerOptions { WriteIndented = true }));
    }
});
return root.Parse(args).Invoke();
