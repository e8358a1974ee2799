using System.CommandLine;
using System.Text.Json;
using Grpo;
using Grpo.Benchmarks;
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
var peakOption = new Option<string?>("--peak-of") { Description = "What a process of its own measures for --parts memory.", Hidden = true };
var planOption = new Option<string?>("--plan-of") { Description = "What a process of its own runs for --parts plan.", Hidden = true };
var root = new RootCommand("Measures Grpo beside what this machine can do.") { shapeOption, deviceOption, roundsOption, partsOption, jsonOption, peakOption, planOption };
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

    var suite = new Suite(shape, TorchBackend.ParseDevice(parsed.GetRequiredValue(deviceOption)), parsed.GetValue(roundsOption));
    SuiteResult result = suite.Run(parsed.GetRequiredValue(partsOption));
    if (parsed.GetValue(jsonOption) is { } file)
    {
        File.WriteAllText(file, JsonSerializer.Serialize(result, new JsonSerializerOptions { WriteIndented = true }));
    }
});
return root.Parse(args).Invoke();
