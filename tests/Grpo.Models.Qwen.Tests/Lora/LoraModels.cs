using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Tiny models with an adapter that does something.</summary>
internal static class LoraModels
{
    public static LoraOptions Options { get; } = new() { Rank = 3, Alpha = 6, Seed = 5 };

    public static QwenPolicy Policy(LoraOptions? options = null, bool trained = true, bool tied = true, string family = "qwen2")
    {
        CausalLM model = CausalLM.Initialize(TinyModels.Config(tied, family), seed: 7);
        model.AddAdapter(options ?? Options);
        if (trained)
        {
            Train(model);
        }

        return new QwenPolicy(model);
    }

    /// <summary>Fills B, which begins at zero, as if some steps had been done.</summary>
    public static void Train(CausalLM model, ulong seed = 3, double deviation = 0.2)
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(seed);
        foreach ((string name, Parameter parameter) in model.Adapter!.Parameters()
            .Where(named => named.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)))
        {
            parameter.copy_(empty(parameter.shape).normal_(0, deviation, generator));
        }
    }

    /// <summary>Made afresh: its tensors belong to the scope of the test that asks.</summary>
    public static TokenBatch Batch =>
        TokenBatchBuilder.Build([new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([10, 11], [])], padTokenId: 0, CPU);

    public static Dictionary<string, Tensor> Weights(CausalLM model) =>
        model.named_parameters().ToDictionary(named => named.name, named => named.parameter.detach().clone());

    public static void AssertSame(IReadOnlyDictionary<string, Tensor> expected, CausalLM model)
    {
        Dictionary<string, Parameter> actual = model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        Assert.Equal(expected.Keys.Order(StringComparer.Ordinal), actual.Keys.Order(StringComparer.Ordinal));
        foreach ((string name, Tensor tensor) in expected)
        {
            TensorAssert.Identical(tensor, actual[name], name);
        }
    }
}
