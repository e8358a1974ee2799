using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class BarrierWaitTests
{
    // Milliseconds that threads ran and waited for a core.
    [Theory]
    [InlineData(false, 400, 99, false)]        // 19.8 % of the time
    [InlineData(false, 400, 100, true)]        // 20 %
    [InlineData(true, 400, 100, true)]
    [InlineData(true, 450, 50, true)]          // 10 %
    [InlineData(true, 451, 49, false)]         // 9.8 %
    [InlineData(false, 10, 39, false)]         // less than 50 ms in all
    [InlineData(true, 49, 0, true)]
    public void Decide_lets_workers_sleep_while_threads_wait_for_a_core(bool sleep, int run, int wait, bool expected) =>
        Assert.Equal(expected, BarrierWait.Decide(sleep, run * 1_000_000L, wait * 1_000_000L));
}
