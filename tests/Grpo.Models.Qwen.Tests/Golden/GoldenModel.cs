using System.Text.Json;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>A reference checkpoint and what the reference implementation computed from it; the data's README describes both.</summary>
internal sealed class GoldenModel : IDisposable
{
    private readonly SafetensorsReader _expected;

    public GoldenModel(string name)
    {
        Model = QwenWeights.Load(Folder(name));
        _expected = SafetensorsReader.Open(SharedData.Path("golden", $"forward-{name}.safetensors"));
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(SharedData.Path("golden", "forward.json")));
        Summary = document.RootElement.GetProperty(name).Clone();
    }

    public CausalLM Model { get; }

    /// <summary>Losses and gradient norms by side.</summary>
    public JsonElement Summary { get; }

    public IEnumerable<string> Names => _expected.Entries.Keys;

    public static string Folder(string name) => SharedData.Path("golden", $"model-{name}");

    public Tensor this[string name] => _expected.Read(name);

    public void Dispose()
    {
        _expected.Dispose();
        Model.Dispose();
    }
}

/// <summary>Comparisons of tensors, with the largest difference in the message.</summary>
internal static class TensorAssert
{
    public static void Near(Tensor expected, Tensor actual, double tolerance, string what = "tensor")
    {
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal(expected.shape, actual.shape);
        Tensor distance = (expected.to(ScalarType.Float64) - actual.to(ScalarType.Float64)).abs();
        double difference = distance.numel() == 0 ? 0 : distance.max().item<double>();
        Assert.True(difference <= tolerance, $"{what}: largest difference {difference:E2}, allowed {tolerance:E2}.");
    }

    public static void Identical(Tensor expected, Tensor actual, string what)
    {
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal(expected.dtype, actual.dtype);
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(expected.contiguous().bytes.SequenceEqual(actual.contiguous().bytes), $"{what} differs.");
    }
}
