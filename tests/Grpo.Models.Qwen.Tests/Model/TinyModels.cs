using CsCheck;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Models small enough for a unit test, with uneven sizes so that a swapped axis shows.</summary>
internal static class TinyModels
{
    /// <summary>The families, and Llama with every bias that it may have.</summary>
    public static readonly string[] Families = ["qwen2", "qwen3", "llama", "llama with biases"];

    /// <summary>The families as the data of a theory.</summary>
    public static TheoryData<string> AllFamilies => [.. Families];

    /// <summary>One of the families.</summary>
    public static Gen<string> AnyFamily { get; } = Gen.Int[0, 3].Select(i => Families[i]);

    public static DecoderConfig Config(bool tied = true, string family = "qwen2") => OfFamily(family, new DecoderConfig
    {
        VocabularySize = 37,
        HiddenSize = 24,
        IntermediateSize = 40,
        LayerCount = 2,
        AttentionHeadCount = 6,
        KeyValueHeadCount = 2,
        RopeTheta = 1e6,
        TieWordEmbeddings = tied,
        InitializerRange = 0.3,
    });

    /// <summary>
    /// A shape that <see cref="CpuDecoder"/> decodes: three query heads of width 32 a key head.
    /// </summary>
    public static DecoderConfig CpuConfig(bool tied = true, string family = "qwen2")
    {
        DecoderConfig config = Config(tied, family) with
        {
            VocabularySize = 40,
            HiddenSize = 192,
            IntermediateSize = 96,
            InitializerRange = 0.1,
        };
        return config.HasOwnHeadWidth ? config with { HeadWidth = 64 } : config;
    }

    public static CausalLM Create(bool tied = true, ulong seed = 7) => CausalLM.Initialize(Config(tied), seed);

    /// <summary>A model of a family whose norms are not 1 and whose biases are not 0, which would hide mistakes.</summary>
    public static CausalLM Uneven(DecoderConfig config, ulong seed = 7)
    {
        CausalLM model = CausalLM.Initialize(config, seed);
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(seed + 1);
        foreach (Parameter parameter in model.parameters().Where(parameter => parameter.dim() == 1))
        {
            parameter.add_(randn(parameter.shape, generator: generator) * 0.2);
        }

        return model;
    }

    // Widths and scalings in which the family differs from Qwen2, for texts of some tokens.
    private static DecoderConfig OfFamily(string family, DecoderConfig qwen2) => family switch
    {
        "qwen2" => qwen2,
        "qwen3" => qwen2 with { ModelType = "qwen3", HeadWidth = 6 },
        "llama" => qwen2 with
        {
            ModelType = "llama",
            RopeTheta = 100,
            RopeScaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 4, OriginalMaxPositions = 12 },
        },
        "llama with biases" => qwen2 with
        {
            ModelType = "llama",
            QueryKeyValueBias = true,
            OutputBias = true,
            MlpBias = true,
            RopeTheta = 100,
            RopeScaling = new RopeScaling { Kind = RopeScalingKind.Yarn, Factor = 4, OriginalMaxPositions = 12, BetaFast = 2 },
        },
        _ => throw new ArgumentException($"There is no family '{family}' to test.", nameof(family)),
    };
}

/// <summary>Tests that count live tensors run while no other test does.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class LiveTensors
{
    public const string Name = nameof(LiveTensors);

    /// <summary>
    /// Runs the action twice to warm up (the first pass makes gradients, the second finds them), then twice more.
    /// Returns by how much the number of live tensors grew.
    /// </summary>
    internal static long GrowthOf(Action action)
    {
        action();
        action();
        for (int generation = 0; generation < 3; generation++)
        {
            // What earlier tests left to finalizers must not be counted as freed by this one.
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        long before = Tensor.TotalCount;
        action();
        action();
        return Tensor.TotalCount - before;
    }
}
