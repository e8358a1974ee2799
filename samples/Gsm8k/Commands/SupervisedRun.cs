using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Grpo.Checkpoints;
using Grpo.Training;
using Microsoft.Extensions.Configuration;

namespace Grpo.Samples.Gsm8k;

/// <summary>The parts that <c>pretrain</c> and <c>sft</c> share: options, checkpoints in the output folder, and progress lines.</summary>
internal sealed class SupervisedRun(SupervisedOptions defaults)
{
    private const int Lines = 40;

    private readonly IReadOnlyList<(string Key, Option<string?> Option)> _options = SettingOptions.For("Supervised", defaults);

    /// <summary>Adds an option for every property of <see cref="SupervisedOptions"/>.</summary>
    public void AddTo(Command command)
    {
        foreach ((_, Option<string?> option) in _options)
        {
            command.Options.Add(option);
        }
    }

    /// <summary>Reads the options: the defaults with the values of the command line.</summary>
    /// <exception cref="InvalidOperationException">A value cannot be converted.</exception>
    public SupervisedOptions Read(ParseResult command)
    {
        SupervisedOptions options = defaults with { };
        new ConfigurationBuilder()
            .AddInMemoryCollection(_options.Where(entry => command.GetResult(entry.Option) is not null)
                .Select(entry => KeyValuePair.Create(entry.Key, command.GetValue(entry.Option))))
            .Build().GetSection("Supervised").Bind(options);
        // so that short trials need no --warmup-steps
        return options with { WarmupSteps = Math.Min(options.WarmupSteps, Math.Max(0, options.Steps - 1)) };
    }

    /// <summary>
    /// Creates the store of a run's checkpoints, or returns null if the run writes none and leaves only a finished model.
    /// </summary>
    /// <exception cref="InvalidOperationException">A new run would begin in the folder of another one.</exception>
    public static ICheckpointStore? Checkpoints(SupervisedOptions options, string output)
    {
        string folder = Path.Combine(output, "checkpoints");
        if (!options.Resume && Directory.Exists(folder) && Directory.EnumerateDirectories(folder, "checkpoint-*").Any())
        {
            throw new InvalidOperationException(
                $"'{output}' holds the checkpoints of a run already. Give --resume true to continue that run, "
                + "name another folder with --output, or delete them.");
        }

        return options.CheckpointEvery > 0 || options.CheckpointInterval > TimeSpan.Zero || options.Resume
            ? new DirectoryCheckpointStore(folder, logger: new ConsoleWarnings<DirectoryCheckpointStore>())
            : null;
    }

    /// <summary>Trains to the end and prints about 40 progress lines.</summary>
    public static async Task TrainAsync(SupervisedTrainer trainer, SupervisedOptions options, CancellationToken cancellationToken)
    {
        var clock = Stopwatch.StartNew();
        long interval = Math.Max(1, options.Steps / Lines);
        await foreach (SupervisedReport report in trainer.RunAsync(cancellationToken))
        {
            if (report.Step % interval == 0 || report.Step == options.Steps || report.HeldOutLoss is not null)
            {
                string held = report.HeldOutLoss is { } loss ? string.Create(CultureInfo.InvariantCulture, $"  held-out {loss:F4}") : "";
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"step {report.Step,5}/{options.Steps}  loss {report.Loss:F4}{held}  gradient {report.GradientNorm:F2}  rate "
                    + $"{report.LearningRate:G3}  {clock.Elapsed:mm\\:ss}"));
            }
        }
    }
}
