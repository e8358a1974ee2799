using System.Diagnostics;
using System.Globalization;
using Grpo.IO;
using TorchSharp;

namespace Grpo.Fuzz.Tests;

/// <summary>Gives a target many damaged inputs and checks that it keeps its promises.</summary>
internal sealed class FuzzRun(FuzzTarget target)
{
    private const long FreeBytes = 64 << 20;
    private const int MostProblems = 8;
    private const int SameProblem = 70;

    // The counter counts a parameter twice when it is created, but only once when it is freed.
    private long _leftOver;

    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    /// <summary>The number of inputs that were accepted.</summary>
    public int Accepted { get; private set; }

    /// <summary>The longest time that an input took.</summary>
    public TimeSpan Slowest { get; private set; }

    /// <summary>The most bytes that an input allocated.</summary>
    public long Largest { get; private set; }

    /// <param name="number">The number of the target, which determines the damage.</param>
    /// <param name="first">The index of the first input.</param>
    /// <param name="count">The number of inputs.</param>
    public void Execute(int number, int first, int count)
    {
        foreach (FuzzInput seed in target.Seeds)
        {
            target.Parse(seed); // checks that the seed is valid, and compiles the parser
            long tensors = torch.Tensor.TotalCount;
            target.Parse(seed);
            _leftOver = Math.Max(_leftOver, torch.Tensor.TotalCount - tensors);
        }

        var problems = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = first; i < first + count && problems.Count < MostProblems; i++)
        {
            FuzzInput input = Mutator.Mutate(target.Seeds, number, i);
            if (Check(input) is { } problem)
            {
                string parts = string.Join('\n', input.Parts.Select(part => $"{part.Name}: {Shown(part.Bytes)}"));
                problems.TryAdd(problem[..Math.Min(problem.Length, SameProblem)], string.Create(
                    CultureInfo.InvariantCulture, $"{target.Name}, input {i}: {problem}\n{parts}\n"));
            }
        }

        Assert.True(problems.Count == 0, string.Join('\n', problems.Values));
    }

    private string? Check(FuzzInput input)
    {
        (TimeSpan time, long bytes, Exception? refusal) = Measure(input);

        // On a busy machine, a pause that does not recur was not caused by the parser.
        for (int again = 0; again < 4 && (time > Longest || bytes > Limit(input)); again++)
        {
            (TimeSpan nextTime, long nextBytes, refusal) = Measure(input);
            (time, bytes) = (time < nextTime ? time : nextTime, Math.Min(bytes, nextBytes));
        }

        Accepted += refusal is null ? 1 : 0;
        Slowest = time > Slowest ? time : Slowest;
        Largest = Math.Max(Largest, bytes);
        if (refusal is not null && !target.Documented.Any(type => type.IsInstanceOfType(refusal)))
        {
            return $"not a documented exception: {refusal}";
        }

        if (refusal is not null && TerminalText.Escape(refusal.Message) != refusal.Message.ReplaceLineEndings("\n"))
        {
            return $"the message is not fit for a terminal: {TerminalText.EscapeLine(refusal.Message)}";
        }

        return time > Longest ? string.Create(CultureInfo.InvariantCulture, $"it took {time.TotalSeconds:F1} s.")
            : bytes > Limit(input) ? string.Create(CultureInfo.InvariantCulture, $"{bytes} bytes were allocated for {input.Size}.")
            : null;
    }

    private (TimeSpan Time, long Bytes, Exception? Refusal) Measure(FuzzInput input)
    {
        long tensors = torch.Tensor.TotalCount, allocated = GC.GetTotalAllocatedBytes();
        long start = Stopwatch.GetTimestamp();
        Exception? refusal = null;
        try
        {
            target.Parse(input);
        }
        catch (Exception exception)
        {
            refusal = exception;
        }

        TimeSpan time = Stopwatch.GetElapsedTime(start);
        long bytes = GC.GetTotalAllocatedBytes() - allocated;
        Assert.True(
            torch.Tensor.TotalCount - tensors <= _leftOver, $"{target.Name}: {torch.Tensor.TotalCount - tensors} tensors are left over.");
        return (time, bytes, refusal);
    }

    private static long Limit(FuzzInput input) => (2 * input.Size) + FreeBytes;

    private static string Shown(byte[] bytes) => bytes.Length <= 3000
        ? Convert.ToBase64String(bytes)
        : string.Create(CultureInfo.InvariantCulture, $"{bytes.Length} bytes, {Convert.ToBase64String(bytes.AsSpan(0, 3000))} …");
}
