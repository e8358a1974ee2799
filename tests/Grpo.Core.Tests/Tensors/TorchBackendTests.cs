using TorchSharp;

namespace Grpo.Core.Tests.Tensors;

public sealed class TorchBackendTests
{
    [Fact]
    public void EnsureAvailable_makes_torch_usable_and_may_be_repeated()
    {
        TorchBackend.EnsureAvailable();
        TorchBackend.EnsureAvailable();
        using torch.Tensor ones = torch.ones(2, 3);
        using torch.Tensor sum = ones.sum();
        Assert.Equal(6f, sum.item<float>());
    }

    [Fact]
    public void LibtorchVersion_is_the_one_that_TorchSharp_was_built_for()
    {
        TorchBackend.EnsureAvailable();
        Assert.StartsWith(TorchBackend.LibtorchVersion, torch.__version__, StringComparison.Ordinal);
    }
}
