using System.CommandLine;
using System.Globalization;
using Grpo.Diagnostics;
using Grpo.Models.Qwen;
using Grpo.Reporting;

namespace Grpo.Samples.Gsm8k;

/// <summary>The main job.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var command = new Command("train", "Trains with GRPO; without options the tiny built-in model on generated word problems.");
        Settings.AddTo(command, "Run", "Grpo", "Trainer");
        command.SetAction((parsed, cancellationToken) => RunAsync(Settings.Read(parsed), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, CancellationToken cancellationToken)
    {
        string output = settings.Run.Output is { Length: > 0 } given
            ? given
            : Path.Combine("runs", DateTime.Now.ToString("yyyyMMdd-HHmmss", CultureInfo.InvariantCulture));
        Gsm8kTask task = await Gsm8kTask.CreateAsync(settings, cancellationToken);
        using JsonLinesLogger? files = settings.Run.Explain ? null : new JsonLinesLogger(output);
        using QwenPretrained qwen = await ModelLoader.LoadAsync(settings, withReference: settings.Grpo.KlCoefficient > 0, cancellationToken);

        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        using var optimizer = new GrpoOptimizer(qwen.Policy, sampler, task.Reward, settings.Grpo, qwen.Reference);
        Console.WriteLine(optimizer.Explain());
        if (files is null)
        {
            return 0; // --explain: nothing is written
        }

        using TensorBoardLogger? tensorBoard = settings.Run.Tensorboard ? new TensorBoardLogger(Path.Combine(output, "tensorboard")) : null;
        ITrainingCallback view = TrainingView.Create(settings, task.Held.Count);
        var report = new HtmlReport(Path.Combine(output, "report.html"), Facts(settings, task, trained: qwen), new TokenDetails(qwen.Policy, qwen.Tokenizer));
        ITrainingCallback[] callbacks = [files, .. tensorBoard is null ? Array.Empty<ITrainingCallback>() : [tensorBoard], view, report, new ReportPath(report)];
        var trainer = new GrpoTrainer(optimizer, task.Train, settings.Trainer, new TrainerServices
        {
            Evaluator = task.Held.Count == 0 ? null : new RewardEvaluator(sampler, task.Judge, task.Held, settings.Grpo.Sampling.ToGreedy()),
            Checkpoints = new DirectoryCheckpointStore(Path.Combine(output, "checkpoints")),
            Callbacks = callbacks,
        });
        await trainer.TrainAsync(cancellationToken);
        return 0;
    }

    private static KeyValuePair<string, string>[] Facts(Settings settings, Gsm8kTask task, QwenPretrained trained) =>
    [
        new("Model", ModelName.Of(settings)),
        new("Parameters", trained.Policy.TrainedParameters().Sum(pair => pair.Parameter.numel()).ToString("#,0", CultureInfo.InvariantCulture) + " trained"),
        new("Training data", $"{Data(settings.Run.Dataset)}, {task.Train.Count.ToString("#,0", CultureInfo.InvariantCulture)} problems"),
        new("Held-out data", $"{Data(settings.Run.EvalDataset)}, {task.Held.Count.ToString("#,0", CultureInfo.InvariantCulture)} problems"),
        new("Device", settings.Run.Device),
        new("Command", string.Join(' ', Environment.GetCommandLineArgs().Skip(1))),
    ];

    private static string Data(string? source) => source is { Length: > 0 } given ? given : "generated word problems";
}
