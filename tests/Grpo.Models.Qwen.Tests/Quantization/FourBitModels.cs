using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Quantization;

/// <summary>Tiny models whose base is in 4 bits.</summary>
internal static class FourBitModels
{
    /// <summary>A model without an adapter.</summary>
    public static CausalLM Base(DecoderConfig? config = null, ScalarType type = ScalarType.Float32, ulong seed = 7)
    {
        using CausalLM numbers = TinyModels.Uneven(config ?? TinyModels.Config(), seed);
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
