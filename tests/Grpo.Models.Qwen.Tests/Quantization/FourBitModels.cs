using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Quantization;

/// <summary>Tiny models whose base is in 4 bits.</summary>
internal static class FourBitModels
{
    /// <summary>A model without an adapter. Biases of 0 and norms of 1 would hide mistakes.</summary>
    public static CausalLM Base(DecoderConfig? config = null, ScalarType type = ScalarType.Float32, ulong seed = 7)
    {
        using CausalLM numbers = CausalLM.Initialize(config ?? TinyModels.Config(), seed);
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(seed);
        foreach (Parameter parameter in numbers.parameters().Where(parameter => parameter.dim() == 1))
        {
            parameter.add_(randn(parameter.shape, generator: generator) * 0.2);
        }

        var model = new CausalLM(numbers.Config, CPU, type, fourBitBase: true);
        model.CopyWeightsFrom(numbers);
        return model;
    }

    /// <summary>A policy with an adapter that does something.</summary>
    public static QwenPolicy Policy(DecoderConfig? config = null, ScalarType type = ScalarType.Float32)
    {
        CausalLM model = Base(config, type);
        model.AddAdapter(LoraModels.Options);
        LoraModels.Train(model);
        return new QwenPolicy(model);
    }
}
