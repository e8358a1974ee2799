using System.CommandLine;

namespace Grpo.Samples.Gsm8k;

/// <summary>The command <c>train</c>, the default one.</summary>
internal static class TrainCommand
{
    public static Command Create()
    {
        var command = new Command(
            "train", "Trains with GRPO. Without options it trains the tiny built-in model on generated word problems.");
        Settings.AddTo(command, "Run", "Grpo", "Trainer");
        command.SetAction((parsed, cancellationToken) => RunAsync(Settings.Read(parsed), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, CancellationToken cancellationToken)
    {
        Gsm8kTask task = await Gsm8kTask.CreateAsync(settings, cancellationToken);
        await TrainingRun.ExecuteAsync(
            settings, task, TrainingRun.OutputOf(settings), [TrainingView.Create(settings, task.Held.Count)], cancellationToken);
        return 0;
    }
}
