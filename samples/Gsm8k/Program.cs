using System.CommandLine;
using System.Diagnostics;
using Grpo;
using Grpo.Diagnostics;
using Grpo.Samples.Gsm8k;

var root = new RootCommand("Trains a Qwen2 model on grade-school maths with GRPO. Without a command: train.")
{
    TrainCommand.Create(),
    EvalCommand.Create(),
    ControlsCommand.Create(),
    ReplayCommand.Create(),
    GenerateCommand.Create(),
    PretrainCommand.Create(),
    SftCommand.Create(),
    InitCommand.Create(),
    PlanCommand.Create(),
};

// "Gsm8k --steps 5" trains: no command means train.
if (args.Length == 0 || (args[0].StartsWith('-') && args[0] is not ("--help" or "-h" or "-?" or "--version")))
{
    args = ["train", .. args];
}

// Signals are handled on the thread pool: a step whose work blocks as many of its threads as there are cores must not delay a second one.
ThreadPool.SetMinThreads(Environment.ProcessorCount + 4, Environment.ProcessorCount + 4);
using var signals = new StopSignals(Console.Error.WriteLine, Quit).Listen();
try
{
    return await root.Parse(args).InvokeAsync(
        new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, signals.Token);
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("Stopped.");
    return ExitCodes.Cancelled;
}
catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException or InvalidDataException
    or UnauthorizedAccessException or NotSupportedException or RewardException or TrainingDivergedException or HttpRequestException)
{
    // A caller's mistake or a problem of the machine: its message says what to do, a stack trace would hide it.
    for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
    {
        Console.Error.WriteLine(cause == exception ? $"Error: {TerminalText.Escape(cause.Message)}" : $"  because: {TerminalText.Escape(cause.Message)}");
    }

    return ExitCodes.Error;
}

// Not Exit: that runs what native libraries have to clean up, under threads that still compute.
static void Quit()
{
    using Process self = Process.GetCurrentProcess();
    self.Kill();
}
