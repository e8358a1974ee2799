using Grpo.IO;
using Microsoft.Extensions.Logging;

namespace Grpo.Samples.Gsm8k;

/// <summary>Writes the library's warnings and errors to the error stream, such as a skipped checkpoint or changed options.</summary>
/// <typeparam name="T">The type that logs.</typeparam>
internal sealed class ConsoleWarnings<T> : ILogger<T>
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            Console.Error.WriteLine(
                $"{logLevel}: {TerminalText.Escape(formatter(state, exception) + (exception is null ? "" : " " + exception.Message))}");
        }
    }
}
