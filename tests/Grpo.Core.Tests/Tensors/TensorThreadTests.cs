using System.Globalization;
using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class TensorThreadTests
{
    [Fact]
    public void Run_hands_on_result_and_exception()
    {
        Assert.Equal(7, TensorThread.Run(() => 7));
        var thrown = new TimeoutException();
        Assert.Same(thrown, Assert.Throws<TimeoutException>(() => TensorThread.Run<int>(() => throw thrown)));
        Assert.Throws<OperationCanceledException>(() => TensorThread.Run<int>(() => throw new OperationCanceledException()));
    }

    [Fact]
    public async Task RunAsync_uses_a_thread_again_and_not_the_callers()
    {
        // Other tests may hold one for a moment: over many calls there are few, where the thread pool would show as many as it has.
        var threads = new HashSet<int>();
        for (int i = 0; i < 100; i++)
        {
            threads.Add(await TensorThread.RunAsync(() => Environment.CurrentManagedThreadId));
            await Task.Yield();
        }

        Assert.InRange(threads.Count, 1, 10);
        Assert.DoesNotContain(Environment.CurrentManagedThreadId, threads);
    }

    [Fact]
    public async Task RunAsync_does_not_wait_for_the_work_of_others()
    {
        using var gate = new ManualResetEventSlim();
        Task<bool> first = TensorThread.RunAsync(() => gate.Wait(TimeSpan.FromSeconds(30)));
        TensorThread.Run(() =>
        {
            gate.Set();
            return 0;
        });
        Assert.True(await first);
    }

    [Fact]
    public void Run_within_Run_stays_on_its_thread() =>
        Assert.True(
            TensorThread.Run(() => TensorThread.Run(() => Environment.CurrentManagedThreadId) == Environment.CurrentManagedThreadId));

    [Fact]
    public void Run_sees_what_is_local_to_the_caller()
    {
        var local = new AsyncLocal<string> { Value = "here" };
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            Assert.Equal("here de-DE", TensorThread.Run(() => $"{local.Value} {CultureInfo.CurrentCulture.Name}"));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
