using System.CommandLine;
using System.Diagnostics;
using Grpo;
using Grpo.IO;
using Grpo.Samples.Gsm8k;

// Signals are handled on the thread pool. More threads keep a step that blocks one thread per core from delaying a second signal.
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
    return ExitCodes.Canceled;
}
catch (Exception exception) when (exception is ArgumentException or InvalidOperationException or IOException or InvalidDataException
    or UnauthorizedAccessException or NotSupportedException or RewardException or TrainingDivergedException or HttpRequestException)
{
    // For a user's mistake or a problem of the machine, the message says what to do. A stack trace would hide it.
    for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
    {
        signals.Say($"{(cause == exception ? "Error" : "  because")}: {TerminalText.Escape(cause.Message)}");
    }

    return ExitCodes.Error;
}

// Exit would run the cleanup of native libraries while threads still compute.
static void Quit()
{
    using Process self = Process.GetCurrentProcess();
    self.Kill();
}
