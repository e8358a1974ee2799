using Grpo.IO;
using Microsoft.Extensions.Logging;

namespace Grpo.Samples.Gsm8k;

/// <summary>Warnings and errors of the library on the error stream: a checkpoint that was passed over, options that were changed.</summary>
/// <typeparam name="T">Who logs.</typeparam>
internal sealed class ConsoleWarnings<T> : ILogger<T>
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            Console.Error.WriteLine($"{logLevel}: {TerminalText.Escape(formatter(state, exception) + (exception is null ? "" : " " + exception.Message))}");
        }
    }
}
