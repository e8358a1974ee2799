using System.Runtime.InteropServices;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp;

namespace Grpo.Core.Tests.Tensors;

public sealed class OutOfMemoryTests
{
    [Theory]
    [InlineData(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes. "
        + "Error code 12 (Cannot allocate memory)")]
    [InlineData("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried to allocate 4096 bytes.")]
    [InlineData("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.80 GiB of which 3.00 MiB is free.")]
    [InlineData("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call.")]
    [InlineData("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")]
    [InlineData("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")]
    [InlineData("std::bad_alloc")]
    public void Is_knows_the_words_of_the_native_side(string message)
    {
        Assert.True(OutOfMemory.Is(NativeFailure.Of(message)));
        Assert.True(OutOfMemory.Is(new InvalidOperationException("The step failed.", NativeFailure.Of(message))));
        Assert.False(OutOfMemory.Is(new InvalidOperationException(message))); // quoted by somebody else, not thrown by libtorch
    }

    [Fact]
    public void Is_knows_a_real_failure_of_libtorch()
    {
        using var scope = TensorScope.Begin();
        // a petabyte: no machine has it
        var failure = Assert.Throws<ExternalException>(() => torch.empty(1L << 48, torch.ScalarType.Float32));
        Assert.True(OutOfMemory.Is(failure), failure.Message);
    }

    [Fact]
    public void Is_knows_a_managed_failure() => Assert.True(OutOfMemory.Is(NativeFailure.Managed()));

    [Theory]
    [InlineData("The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0")]
    [InlineData("CUDA error: an illegal memory access was encountered")]
    public void Is_leaves_other_errors_alone(string message) => Assert.False(OutOfMemory.Is(NativeFailure.Of(message)));
}
