using System.CommandLine;
using System.Diagnostics;
using System.Runtime.InteropServices;
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
int signals = 0;
using var stop = new CancellationTokenSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
try
{
    return await root.Parse(args).InvokeAsync(
        new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, stop.Token);
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

// The first signal stops within a token and writes a checkpoint, the second ends the process at once.
void Stop(PosixSignalContext signal)
{
    signal.Cancel = true;
    if (Interlocked.Exchange(ref signals, 1) == 1)
    {
        // Not Exit: that runs what native libraries have to clean up, under threads that still compute.
        Console.Error.WriteLine("Ended at once; the last checkpoint is intact.");
        using Process self = Process.GetCurrentProcess();
        self.Kill();
    }

    Console.Error.WriteLine("Stopping after the current token; a checkpoint is written. Once more to quit at once.");
    stop.Cancel();
}
