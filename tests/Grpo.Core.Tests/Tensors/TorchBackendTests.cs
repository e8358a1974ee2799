using Grpo.Modeling;
using Grpo.Tensors;
using Grpo.Testing;
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
    public void EnsureAvailable_may_be_called_by_many_threads_at_once() =>
        Parallel.For(0, 64, _ => TorchBackend.EnsureAvailable());

    [Fact]
    public void LibtorchVersion_is_the_one_that_TorchSharp_was_built_for()
    {
        TorchBackend.EnsureAvailable();
        Assert.StartsWith(TorchBackend.LibtorchVersion, torch.__version__, StringComparison.Ordinal);
    }

    [Fact]
    public void Describe_names_versions_system_threads_and_devices() =>
        Assert.Matches(
            "^libtorch 2\\.10\\.\\S+, TorchSharp 0\\.107\\.0, (linux|win|osx)-\\S+, [0-9]+ threads?, (no CUDA|cuda:0.*)$",
            TorchBackend.Describe());

    [Fact]
    public void ParseDevice_gives_the_cpu()
    {
        torch.Device device = TorchBackend.ParseDevice("cpu");
        Assert.Equal(DeviceType.CPU, device.type);
    }

    [Theory]
    [InlineData("")]
    [InlineData("gpu")]
    [InlineData("CPU")]
    [InlineData("cpu:0")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cuda: 1")]
    [InlineData("cuda:99999999999")]
    public void ParseDevice_refuses_other_names(string name)
    {
        var error = Assert.Throws<ArgumentException>(() => TorchBackend.ParseDevice(name));
        Assert.StartsWith(
            $"The device is '{name}' but must be cpu, cuda, or cuda:N with N counted from 0.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cpu", null)]
    [InlineData("cuda", 0)]
    [InlineData("cuda:0", 0)]
    [InlineData("cuda:17", 17)]
    public void ParseCudaIndex_reads_the_index(string name, int? index) => Assert.Equal(index, DeviceName.ParseCudaIndex(name));

    [Fact]
    public void RequireCuda_says_how_to_get_cuda_when_libtorch_is_a_cpu_build()
    {
        var error = Assert.Throws<BackendUnavailableException>(() => DeviceName.RequireCuda("cuda", index: 0, count: 0, cudaBuild: false));
        Assert.StartsWith(
            "Device 'cuda' was asked for, but the application's libtorch is built for the CPU only. Reference TorchSharp-cuda-",
            error.Message, StringComparison.Ordinal);
        Assert.EndsWith(
            "or set GRPO_LIBTORCH to the 'lib' folder of a PyTorch with CUDA, or use device 'cpu'.", error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void RequireCuda_points_to_the_driver_when_libtorch_has_cuda_but_no_device()
    {
        var error = Assert.Throws<BackendUnavailableException>(() => DeviceName.RequireCuda("cuda:1", index: 1, count: 0, cudaBuild: true));
        Assert.StartsWith(
            "Device 'cuda:1' was asked for, but libtorch finds no usable CUDA device. Check with nvidia-smi", error.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, "Device 'cuda:4' was asked for, but there is one CUDA device, cuda:0.")]
    [InlineData(4, "Device 'cuda:4' was asked for, but there are 4 CUDA devices, cuda:0 to cuda:3.")]
    public void RequireCuda_says_how_many_devices_there_are(int count, string message)
    {
        var error = Assert.Throws<ArgumentException>(() => DeviceName.RequireCuda("cuda:4", index: 4, count, cudaBuild: true));
        Assert.StartsWith(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void RequireCuda_accepts_the_last_device() => DeviceName.RequireCuda("cuda:3", index: 3, count: 4, cudaBuild: true);

    [NoCudaFact]
    public void ParseDevice_explains_where_there_is_no_cuda()
    {
        var error = Assert.Throws<BackendUnavailableException>(() => TorchBackend.ParseDevice("cuda"));
        Assert.StartsWith("Device 'cuda' was asked for, but ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void UsesTensorFloat32_is_false_until_it_is_switched_on()
    {
        Assert.False(TorchBackend.UsesTensorFloat32);
        try
        {
            TorchBackend.UseTensorFloat32();
            Assert.True(TorchBackend.UsesTensorFloat32);
        }
        finally
        {
            TorchBackend.UseTensorFloat32(use: false);
        }

        Assert.False(TorchBackend.UsesTensorFloat32);
    }

    [Fact]
    public void IsOutOfMemory_tells_a_failed_allocation_from_other_errors()
    {
        using var scope = TensorScope.BeginNoGrad();
        Assert.True(TorchBackend.IsOutOfMemory(new InvalidOperationException("outer", Record.Exception(() => torch.zeros(1L << 50))!)));
        Assert.False(TorchBackend.IsOutOfMemory(Record.Exception(() => torch.ones(2, 3).mm(torch.ones(2, 3)))!));
    }

    [CudaFact]
    public void Every_device_that_there_is_can_be_used_by_its_index()
    {
        using var scope = TensorScope.BeginNoGrad();
        for (int index = 0; index < torch.cuda.device_count(); index++)
        {
            torch.Device device = TorchBackend.ParseDevice($"cuda:{index}");
            TokenBatch batch = TokenBatchBuilder.Build([new([1, 2], [3]), new([1, 2], [4, 5])], padTokenId: 0, device, sharePrompts: true);
            Assert.Equal(index, batch.PromptIds.device_index);
            Assert.Equal([3L, 0, 4, 5], batch.CompletionIds.cpu().data<long>().ToArray());
            Assert.Equal([0L, 0], batch.SharedPrompts!.PromptOfRow.cpu().data<long>().ToArray());
        }
    }

    private sealed class NoCudaFactAttribute : FactAttribute
    {
        public NoCudaFactAttribute()
        {
            TorchBackend.EnsureAvailable();
            if (torch.cuda.is_available())
            {
                Skip = "This machine has a CUDA device.";
            }
        }
    }
}
