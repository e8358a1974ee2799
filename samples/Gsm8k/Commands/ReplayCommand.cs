using System.CommandLine;
using System.Globalization;
using Grpo.Callbacks;
using Grpo.IO;
using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>replay</c>, which repeats a step of a recorded run and compares the results. With --prompt and --sample it samples one
/// completion again instead.
/// </summary>
/// <remarks>
/// The record supplies the model and the options, unless the command line names another model. A model that has to be downloaded must be
/// named on the command line.
/// </remarks>
internal static class ReplayCommand
{
    public static Command Create()
    {
        var step = new Option<long>("--step") { Description = "The step to repeat, counted from 1.", Required = true };
        var prompt = new Option<string?>("--prompt")
        {
            Description = "Samples one completion again instead. The prompt, by its index in the step counted from 0, or by its id.",
        };
        var sample = new Option<int>("--sample")
        {
            Description = "The index of the completion in its group, counted from 0.",
            DefaultValueFactory = _ => 0,
        };
        var checkpoint = new Option<string?>("--checkpoint")
        {
            Description =
                "The folder of the weights that the step began with. Default: the checkpoint of the step before, or the model for step 1.",
            HelpName = "folder",
        };
        var tolerance = new Option<double>("--tolerance")
        {
            Description = "The difference that rounding may cause. Use 0 for the same machine and number of threads without a GPU.",
            DefaultValueFactory = _ => 1e-5,
        };
        var command = new Command("replay", "Repeats a step of a run that was trained with --record and compares the results.")
        {
            step, prompt, sample, checkpoint, tolerance,
        };
        Settings.AddTo(command, "Run");
        command.SetAction((parsed, cancellationToken) => RunAsync(
            Settings.Read(parsed),
            new Request(
                parsed.GetValue(step), parsed.GetValue(prompt), parsed.GetValue(sample), parsed.GetValue(checkpoint),
                parsed.GetValue(tolerance),
                parsed.Tokens.Any(token => token.Value == "--device")),
            cancellationToken));
        return command;
    }

    private sealed record Request(long Step, string? Prompt, int Sample, string? Checkpoint, double Tolerance, bool OwnDevice);

    private static async Task<int> RunAsync(Settings settings, Request request, CancellationToken cancellationToken)
    {
        string output = settings.Run.Output is { Length: > 0 } given
            ? given
            : throw new ArgumentException("--output is missing: the folder of the run to replay.");
        using FlightRecord record = FlightRecord.Open(output);
        FlightStep recorded = record.Read(request.Step);
        FlightSettings made = record.SettingsOf(request.Step);
        int? prompt = request.Prompt is null ? null : IndexOf(recorded, request.Prompt);
        string? checkpoint = request.Checkpoint
            ?? await FlightReplay.FindCheckpointAsync(Path.Combine(output, "checkpoints"), record, request.Step, cancellationToken);

        GrpoOptions options = made.ToOptions();
        RecordedModel.Apply(made.About, settings.Run, request.OwnDevice);
        using QwenPretrained qwen = await ModelLoader.LoadForTrainingAsync(
            settings, withReference: options.KlCoefficient > 0, cancellationToken);
        var replay = new FlightReplay(qwen.Policy, options, qwen.Reference);
        if (prompt is { } index)
        {
            RegeneratedCompletion completion = await replay.RegenerateAsync(
                recorded, index, request.Sample, qwen.Tokenizer, checkpoint, cancellationToken);
            return ReplayView.Write(completion, recorded, index, request.Sample, qwen.Tokenizer) ? 0 : ExitCodes.Different;
        }

        ReplayReport report = await replay.ReplayAsync(recorded, checkpoint, cancellationToken);
        string? next = record.Steps.Contains(request.Step + 1) ? record.Read(request.Step + 1).WeightHash : null;
        return ReplayView.Write(report, recorded, next, request.Tolerance) ? 0 : ExitCodes.Different;
    }

    private static int IndexOf(FlightStep step, string prompt)
    {
        int index = int.TryParse(prompt, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : step.Groups.TakeWhile(group => group.PromptId != prompt).Count();
        return index < step.Groups.Count ? index : throw new ArgumentException(
            $"Step {step.Step} has no prompt '{prompt}'; its prompts are 0 to {step.Groups.Count - 1}, with the ids "
            + $"{string.Join(", ", step.Groups.Select(group => TerminalText.EscapeLine(group.PromptId)))}.");
    }
}
