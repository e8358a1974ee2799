using System.Globalization;
using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Modeling;
using Grpo.Models.Qwen;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>Builds and executes a training run from its settings: model, optimizer, trainer and output files.</summary>
internal static class TrainingRun
{
    /// <summary>Returns the output folder in the settings, or else a folder in runs/ named by the time.</summary>
    public static string OutputOf(Settings settings) => settings.Run.Output is { Length: > 0 } given
        ? given
        : Path.Combine("runs", DateTime.Now.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture));

    /// <summary>Executes the run, or only prints its plan with --explain.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="task">The problems and rewards.</param>
    /// <param name="output">The folder for metrics, completions, the report and checkpoints.</param>
    /// <param name="views">The views that show the progress to the user.</param>
    /// <param name="cancellationToken">Stops the run after the current token and writes a checkpoint.</param>
    /// <returns>The summary of the run, or null with --explain.</returns>
    public static async Task<TrainingSummary?> ExecuteAsync(
        Settings settings, Gsm8kTask task, string output, IReadOnlyList<ITrainingCallback> views, CancellationToken cancellationToken)
    {
        string checkpoints = Path.Combine(output, "checkpoints");
        RequireFolder(output);
        settings.SayNotes();
        if (!settings.Trainer.Resume && !settings.Run.Explain)
        {
            RequireNoRun(output, checkpoints);
        }

        using QwenPretrained qwen = await ModelLoader.LoadForTrainingAsync(
            settings, withReference: settings.Grpo.KlCoefficient > 0, cancellationToken);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate, new ConsoleWarnings<PolicyGroupSampler>());
        using var optimizer = new GrpoOptimizer(
            new GrpoPlugIns(qwen.Policy, sampler, task.Reward) { Reference = qwen.Reference },
            settings.Grpo,
            new ConsoleWarnings<GrpoOptimizer>());
        Console.WriteLine(optimizer.Explain());
        if (settings.Run.Explain)
        {
            return null;
        }

        using var files = new JsonLinesLogger(output);
        using TensorBoardLogger? tensorBoard = settings.Run.Tensorboard ? new TensorBoardLogger(Path.Combine(output, "tensorboard")) : null;
        using FlightRecorder? recorder = settings.Run.Record ? new FlightRecorder(output, RecordedModel.Of(settings.Run)) : null;
        var report = new HtmlReport(
            Path.Combine(output, "report.html"), Facts(settings, task, trained: qwen), new TokenDetails(qwen.Policy, qwen.Tokenizer));
        // The views come last, so that an error of the terminal cannot prevent the report.
        ITrainingCallback?[] callbacks = [files, tensorBoard, recorder, report, .. views, new ReportPath(report)];
        var trainer = new GrpoTrainer(optimizer, task.Train, settings.Trainer, new TrainerServices
        {
            Evaluator = task.Held.Count == 0
                ? null
                : new RewardEvaluator(sampler, task.Judge, task.Held, settings.Grpo.Sampling.ToGreedy()),
            Task = task.Description,
            Checkpoints = new DirectoryCheckpointStore(
                checkpoints, settings.Run.KeepCheckpoints, new ConsoleWarnings<DirectoryCheckpointStore>()),
            Callbacks = [.. callbacks.OfType<ITrainingCallback>()],
        }, new ConsoleWarnings<GrpoTrainer>());
        return await trainer.TrainAsync(cancellationToken);
    }

    // Checks what is possible without writing anything, before the model is downloaded.
    private static void RequireFolder(string output)
    {
        for (string? folder = Path.GetFullPath(output); folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(folder))
            {
                throw new IOException($"The output folder '{output}' cannot be written: '{folder}' is a file. Choose another folder.");
            }
        }
    }

    // A new run in the folder of another one would mix its files with the old checkpoints and completions.
    private static void RequireNoRun(string output, string checkpoints)
    {
        if ((Directory.Exists(checkpoints) && Directory.EnumerateDirectories(checkpoints, "checkpoint-*").Any())
            || new FileInfo(Path.Combine(output, "metrics.jsonl")) is { Exists: true, Length: > 0 })
        {
            throw new InvalidOperationException(
                $"'{output}' holds a run already, and --resume is false. Leave --resume out to continue that run, name another folder with "
                + "--output, or delete this one.");
        }
    }

    private static KeyValuePair<string, string>[] Facts(Settings settings, Gsm8kTask task, QwenPretrained trained) =>
    [
        new("Model", ModelName.Of(settings)),
        new(
            "Parameters",
            trained.Policy.TrainedParameters().Sum(pair => pair.Parameter.numel()).ToString("#,0", CultureInfo.InvariantCulture)
            + " trained"),
        new("Training data", $"{Data(settings.Run.Dataset)}, {task.Train.Count.ToString("#,0", CultureInfo.InvariantCulture)} problems"),
        new("Held-out data", $"{Data(settings.Run.EvalDataset)}, {task.Held.Count.ToString("#,0", CultureInfo.InvariantCulture)} problems"),
        new("Device", settings.Run.Device),
        new("Command", string.Join(' ', Environment.GetCommandLineArgs().Skip(1))),
    ];

    private static string Data(string? source) => source is { Length: > 0 } given ? given : "generated word problems";
}
