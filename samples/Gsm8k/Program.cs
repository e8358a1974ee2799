using System.CommandLine;
using System.Diagnostics;
using Grpo;
using Grpo.IO;
using Grpo.Samples.Gsm8k;

// Signals are handled on the thread pool: a step whose work blocks as many of its threads as there are cores must not delay a second one.
ThreadPool.SetMinThreads(Environment.ProcessorCount + 4, Environment.ProcessorCount + 4);
using var signals = new StopSignals(Console.Error.WriteLine, Quit).Listen();
try
{
    return await SampleCommands.Parse(args).InvokeAsync(
        new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, signals.Token);
}
catch (OperationCanceledException)
{
    signals.Say("Stopped.");
    return ExitCodes.Cancelled;
}
catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException or InvalidDataException
    or UnauthorizedAccessException or NotSupportedException or RewardException or TrainingDivergedException or HttpRequestException)
{
    // A caller's mistake or a problem of the machine: its message says what to do, a stack trace would hide it.
    for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
    {
        signals.Say($"{(cause == exception ? "Error" : "  because")}: {TerminalText.Escape(cause.Message)}");
    }

    return ExitCodes.Error;
}

// Not Exit: that runs what native libraries have to clean up, under threads that still compute.
static void Quit()
{
    using Process self = Process.GetCurrentProcess();
    self.Kill();
}
