using System.CommandLine;
using Grpo.Training;
using Spectre.Console;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>controls</c>, which answers whether it is the reward that teaches. It compares the training run with runs
/// that must not learn.
/// </summary>
/// <remarks>
/// The controls have a learning rate of 0, random rewards, shuffled rewards, a reward for the form alone, and a learning
/// rate that must fail.
/// With --runs the command also compares the methods of the presets.
/// </remarks>
internal static class ControlsCommand
{
    public static Command Create()
    {
        string controls = string.Join(',', ControlRun.Controls.Select(run => run.Name));
        var runs = new Option<string>("--runs")
        {
            Description = $"The runs, separated by commas: any of {controls}, or names of presets.",
            DefaultValueFactory = _ => controls,
        };
        var command = new Command("controls", "Compares the training run with runs that must not learn.") { runs };
        Settings.AddTo(command, "Run", "Grpo", "Trainer");
        command.SetAction((parsed, cancellationToken) => RunAsync(
            parsed, [.. parsed.GetRequiredValue(runs).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
                .Select(ControlRun.Find)], cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, IReadOnlyList<ControlRun> runs, CancellationToken cancellationToken)
    {
        string output = TrainingRun.OutputOf(Settings.Read(parsed));
        var rows = new List<IReadOnlyList<string>>();
        foreach (ControlRun run in runs)
        {
            Settings settings = Settings.Read(parsed, run.Preset);
            run.ScaleLearningRate(settings);
            settings.Trainer.EvaluateEvery = run.EvaluateEvery ?? settings.Trainer.EvaluateEvery;
            settings.Trainer.Resume = false; // the table needs the completions of the first evaluation, and a checkpoint has none
            Gsm8kTask task = await Gsm8kTask.CreateAsync(settings, cancellationToken);
            if (run.Reward is { } replace)
            {
                task = task with { Reward = replace(task.Reward, settings.Grpo.Seed) };
            }

            Console.WriteLine($"{run.Name}: {run.Change} …");
            var form = new FormShare();
            TrainingSummary? summary = await TrainingRun.ExecuteAsync(
                settings, task, Path.Combine(output, run.Name), [new EvaluationsView(), form], cancellationToken);
            if (summary is null)
            {
                continue; // --explain
            }

            rows.Add(new ControlResult(run, summary, form).Cells());
            Write(rows, Path.Combine(output, "controls.md"));
        }

        if (rows.Count == 0)
        {
            return 0;
        }

        var table = new Table();
        table.AddColumns([.. ControlResult.Columns.Select(Markup.Escape)]);
        rows.ForEach(row => table.AddRow([.. row.Select(Markup.Escape)]));
        AnsiConsole.Write(table);
        Console.WriteLine($"Written to {Path.Combine(output, "controls.md")}.");
        return 0;
    }

    // Written after every run, so that a stopped series keeps its first rows.
    private static void Write(IReadOnlyList<IReadOnlyList<string>> rows, string path) => File.WriteAllLines(path,
    [
        $"| {string.Join(" | ", ControlResult.Columns)} |",
        string.Concat(Enumerable.Repeat("|---", ControlResult.Columns.Count)) + "|",
        .. rows.Select(row => $"| {string.Join(" | ", row)} |"),
    ]);
}
