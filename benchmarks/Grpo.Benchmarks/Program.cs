using System.CommandLine;
using System.Text.Json;
using Grpo.Benchmarks;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

var shapeOption = new Option<string>("--shape") { Description = "tiny, small, 0.5b or 1.5b.", DefaultValueFactory = _ => "tiny" };
shapeOption.AcceptOnlyFromAmong([.. Shape.All.Select(shape => shape.Name)]);
var deviceOption = new Option<string>("--device") { Description = "cpu, cuda or cuda:n.", DefaultValueFactory = _ => "cpu" };
var roundsOption = new Option<int>("--rounds") { Description = "Rounds of which the median is taken.", DefaultValueFactory = _ => 5 };
var partsOption = new Option<string[]>("--parts")
{
    Description = "model (or of it only decode or update), pieces, memory, growth, plan; default model and pieces.",
    AllowMultipleArgumentsPerToken = true,
    DefaultValueFactory = _ => ["model", "pieces"],
};
partsOption.AcceptOnlyFromAmong("model", "decode", "update", "pieces", "memory", "growth", "plan");
var jsonOption = new Option<string?>("--json") { Description = "File for the numbers." };
var plotOption = new Option<string?>("--plot") { Description = "File for a picture of the part growth, SVG." };
var growthOption = new Option<string?>("--growth-of") { Description = "What a process of its own measures for --parts growth.", Hidden = true };
var peakOption = new Option<string?>("--peak-of") { Description = "What a process of its own measures for --parts memory.", Hidden = true };
var planOption = new Option<string?>("--plan-of") { Description = "What a process of its own runs for --parts plan.", Hidden = true };
var root = new RootCommand("Measures Grpo beside what this machine can do.") { shapeOption, deviceOption, roundsOption, partsOption, jsonOption, plotOption, peakOption, growthOption, planOption };
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
        PlanAgainstPeak.Run(PlanCase.All.First(known => known.Name == run));
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
        throw new NotSupportedException($"memory, growth and plan measure the memory of a process, which says nothing about {device}. Leave them out, or leave --device out.");
    }

    SuiteResult result = new Suite(shape, device, parsed.GetValue(roundsOption)).Run(parts);
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
