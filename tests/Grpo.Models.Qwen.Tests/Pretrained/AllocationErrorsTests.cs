using Grpo.Models.Qwen.Pretrained;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests;

public sealed class AllocationErrorsTests
{
    [Fact]
    public void Explain_says_what_did_not_fit_and_keeps_libtorchs_words()
    {
        Exception cause = NativeFailure.Of("CUDA out of memory. Tried to allocate 2.00 GiB.");
        var error = Assert.Throws<InvalidOperationException>(
            () => AllocationErrors.Explain<int>(() => throw cause, "The weights do not fit. Take another device."));
        Assert.Equal("The weights do not fit. Take another device.", error.Message);
        Assert.Same(cause, error.InnerException);
    }

    [Fact]
    public void Explain_lets_results_and_other_errors_pass()
    {
        Assert.Equal(3, AllocationErrors.Explain(() => 3, "unused"));
        Assert.Throws<FormatException>(() => AllocationErrors.Explain<int>(() => throw new FormatException(), "unused"));
    }
}
