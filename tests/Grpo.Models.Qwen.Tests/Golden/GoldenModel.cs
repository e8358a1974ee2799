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
        : this(name, Folder(name))
    {
    }

    /// <param name="name">The name of the model.</param>
    /// <param name="folder">The folder with its weights, which may hold another spelling of its configuration.</param>
    public GoldenModel(string name, string folder)
    {
        Model = QwenWeights.Load(folder);
        _expected = SafetensorsReader.Open(SharedData.Path(Set(name), $"forward-{name}.safetensors"));
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(SharedData.Path(Set(name), "forward.json")));
        Summary = document.RootElement.GetProperty(name).Clone();
        LongLogitTolerance = IsOfFamilies(name) ? 3e-4 : 2e-4;
    }

    /// <summary>The models with losses and gradients: those of Qwen2, then two of every other family.</summary>
    public static readonly IReadOnlyList<string> WithLosses = ["A", "B", "C", "qwen3-A", "qwen3-B", "llama-A", "llama-B"];

    /// <summary>The models that only have logits and log-probs.</summary>
    public static readonly IReadOnlyList<string> Scaled = ["qwen2-yarn", "qwen2-linear"];

    public CausalLM Model { get; }

    /// <summary>The tolerance of the logits of the long sequence.</summary>
    public double LongLogitTolerance { get; }

    /// <summary>Losses and gradient norms by side.</summary>
    public JsonElement Summary { get; }

    public IEnumerable<string> Entries => _expected.Entries.Keys;

    public static string Folder(string name) =>
        IsOfFamilies(name) ? SharedData.Path("golden", "families", name) : SharedData.Path("golden", $"model-{name}");

    /// <summary>The folder that holds the expected numbers of a model.</summary>
    public static string Set(string name) => IsOfFamilies(name) ? Path.Combine("golden", "families") : "golden";

    private static bool IsOfFamilies(string name) => name.Length > 1;

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
