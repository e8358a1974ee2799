using System.CommandLine;
using System.Globalization;
using Grpo.Diagnostics;
using Grpo.Models.Qwen;

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

        ITrainingCallback view = TrainingView.Create(settings, task.Held.Count);
        var trainer = new GrpoTrainer(optimizer, task.Train, settings.Trainer, new TrainerServices
        {
            Evaluator = task.Held.Count == 0 ? null : new RewardEvaluator(sampler, task.Judge, task.Held, settings.Grpo.Sampling.ToGreedy()),
            Checkpoints = new DirectoryCheckpointStore(Path.Combine(output, "checkpoints")),
            Callbacks = [files, view],
        });
        await trainer.TrainAsync(cancellationToken);
        return 0;
    }
}
