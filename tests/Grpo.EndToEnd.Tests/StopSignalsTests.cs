using Grpo.Samples.Gsm8k;

namespace Grpo.EndToEnd.Tests;

/// <summary>When a signal is a second one, by a clock that the test sets.</summary>
public sealed class StopSignalsTests
{
    private const int Never = -1;

    // Milliseconds at which signals come, behind the one that ends the process.
    [Theory]
    [InlineData(Never, 0)]
    [InlineData(Never, 0, 0)]
    [InlineData(Never, 0, 0, 1, 3)]        // timeout: the process, then its group
    [InlineData(Never, 0, 500, 999)]       // a key that is held down
    [InlineData(1000, 0, 1000)]
    [InlineData(1200, 0, 400, 800, 1200)]  // a second after the first, not after the last
    [InlineData(60000, 0, 60000)]
    [InlineData(1500, 0, 1500, 1501)]
    public void Receive_quits_at_a_signal_a_second_after_the_first(int expected, params int[] signals)
    {
        var clock = new SetClock();
        List<int> quits = [];
        List<string> said = [];
        using var stop = new StopSignals(said.Add, () => quits.Add(clock.Milliseconds), clock);
        Assert.False(stop.Token.IsCancellationRequested);

        foreach (int signal in signals)
        {
            clock.Milliseconds = signal;
            stop.Receive();
            Assert.True(stop.Token.IsCancellationRequested);
        }

        Assert.Equal(expected, quits.FirstOrDefault(Never));
        Assert.Equal(1 + quits.Count, said.Count); // nothing is said of a signal that does not count
    }

    [Fact]
    public void Receive_stops_although_the_terminal_is_gone()
    {
        using var stop = new StopSignals(_ => throw new IOException("Input/output error"), () => { });
        stop.Receive();
        Assert.True(stop.Token.IsCancellationRequested);
    }

    private sealed class SetClock : TimeProvider
    {
        public int Milliseconds { get; set; }

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => Milliseconds;
    }
}
