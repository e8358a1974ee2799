using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Grpo.Benchmarks;
using Grpo.Benchmarks.LlamaCpp;
using Grpo.Models.Qwen;

var shapeOption = new Option<string>("--shape") { Description = "tiny, small, 0.5b or 1.5b.", DefaultValueFactory = _ => "tiny" };
shapeOption.AcceptOnlyFromAmong([.. Shape.All.Select(shape => shape.Name)]);
var roundsOption = new Option<int>("--rounds")
{
    Description = "The number of rounds. The cache of a decoding case has room for them.",
    DefaultValueFactory = _ => 5,
};
var avxOption = new Option<string>("--avx")
{
    Description = "The build of llama.cpp: none, avx, avx2, avx512, or auto for the best that the processor has.",
    DefaultValueFactory = _ => "auto",
};
avxOption.AcceptOnlyFromAmong("auto", "none", "avx", "avx2", "avx512");
var threadsOption = new Option<int>("--threads")
{
    Description = "The number of threads. Default: one for each core.",
    DefaultValueFactory = _ => Environment.ProcessorCount,
};
var flashOption = new Option<bool?>("--flash-attention") { Description = "Default: true for prefill, false for decoding." };
var unifiedOption = new Option<bool>("--unified")
{
    Description = "True if all rows share one cache. Their tokens then attend to the cells of all, which is slower after many tokens.",
};
var folderOption = new Option<string>("--folder")
{
    Description = "The folder of the exported models, which are kept for later runs.",
    DefaultValueFactory = _ => Path.Combine(Path.GetTempPath(), "grpo-benchmarks"),
};
var exportOption = new Option<ExportType?>("--export") { Description = "The export of a new process.", Hidden = true };
var root = new RootCommand("Times llama.cpp for Grpo.Benchmarks --against: prints the names of its cases, then runs those that lines name.")
{
    shapeOption, roundsOption, avxOption, threadsOption, flashOption, unifiedOption, folderOption, exportOption,
};
root.TreatUnmatchedTokensAsErrors = false; // the others are for other peers
root.SetAction(parsed =>
{
    Shape shape = Shape.All.First(known => known.Name == parsed.GetValue(shapeOption));
    var model = new RandomModel(shape, parsed.GetRequiredValue(folderOption));
    if (parsed.GetValue(exportOption) is { } type)
    {
        model.Export(type);
        return;
    }

    NativeBuild.Choose(parsed.GetRequiredValue(avxOption));
    Console.Error.WriteLine($"peer: {NativeBuild.Describe()}");
    var options = new LlamaOptions(
        parsed.GetValue(threadsOption), parsed.GetValue(flashOption), parsed.GetValue(unifiedOption), parsed.GetValue(roundsOption));
    using var cases = new LlamaCases(shape, model, options);
    Console.WriteLine(string.Join('\t', cases.Names));
    while (Console.ReadLine() is { } line)
    {
        Action run = cases.Prepare(int.Parse(line, CultureInfo.InvariantCulture));
        long start = Stopwatch.GetTimestamp();
        run();
        Console.WriteLine(Stopwatch.GetElapsedTime(start).TotalSeconds.ToString("R", CultureInfo.InvariantCulture));
    }
});
return root.Parse(args).Invoke();
