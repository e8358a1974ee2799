using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Models.Qwen;

namespace Grpo.Snippets;

/// <summary>Reliability: the flight recorder and its replay.</summary>
public static class RecordedRun
{
    public static async Task TrainAsync(GrpoOptimizer optimizer, IReadOnlyList<Prompt> prompts, CancellationToken cancellationToken)
    {
        using var recorder = new FlightRecorder("runs/first");                   // writes runs/first/flight.bin
        var trainer = new GrpoTrainer(optimizer, prompts, new TrainerOptions { Steps = 200, CheckpointEvery = 1 }, new TrainerServices
        {
            Checkpoints = new DirectoryCheckpointStore("runs/first/checkpoints", keepLast: 20),
            Callbacks = [recorder],
        });
        await trainer.TrainAsync(cancellationToken);
    }

    public static async Task ReplayAsync(QwenPretrained qwen, CancellationToken cancellationToken)
    {
        using FlightRecord record = FlightRecord.Open("runs/first");
        FlightStep step = record.Read(190);
        string? checkpoint = await FlightReplay.FindCheckpointAsync("runs/first/checkpoints", record, 190, cancellationToken);
        var replay = new FlightReplay(qwen.Policy, record.SettingsOf(190).ToOptions(), qwen.Reference);

        ReplayReport report = await replay.ReplayAsync(step, checkpoint, cancellationToken);
        foreach (string difference in report.Differences())
        {
            Console.WriteLine(difference);
        }

        RegeneratedCompletion again = await replay.RegenerateAsync(
            step, prompt: 3, sample: 0, qwen.Tokenizer, checkpoint, cancellationToken);
        Console.WriteLine($"{again.Completion.Text}: {(again.FirstDifference is null ? "token for token as then" : "another")}");
    }
}
