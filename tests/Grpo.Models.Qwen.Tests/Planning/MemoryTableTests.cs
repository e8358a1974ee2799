using System.Globalization;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Planning;
using Grpo.Optimization;
using Grpo.Planning;
using Grpo.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Planning;

/// <summary>Holds the table of models, methods and cards in docs/memory.md against the planner.</summary>
public sealed class MemoryTableTests
{
    private const string Header =
        "| Model | all weights, float32 | all weights, bfloat16, 8-bit moments | LoRA, bfloat16 base | LoRA, 4-bit base |";

    private static readonly int[] Cards = [8, 12, 16, 24, 48, 80];

    // The published shapes, and the published numbers of parameters.
    private static readonly (string Name, long Parameters, DecoderConfig Config)[] Models =
    [
        ("Qwen2.5 0.5B", 494_032_768, Qwen25(896, 4_864, 24, 14)),
        ("Qwen2.5 1.5B", 1_543_714_304, Qwen25(1_536, 8_960, 28, 12)),
        ("Qwen2.5 3B", 3_085_938_688, Qwen25(2_048, 11_008, 36, 16)),
        (
            "Qwen2.5 7B", 7_615_616_512,
            Qwen25(3_584, 18_944, 28, 28) with { KeyValueHeadCount = 4, VocabularySize = 152_064, TieWordEmbeddings = false }),
        ("Qwen3 0.6B", 596_049_920, Qwen3(1_024, 3_072, 28, 16)),
        ("Qwen3 1.7B", 1_720_574_976, Qwen3(2_048, 6_144, 28, 16)),
        ("Qwen3 4B", 4_022_468_096, Qwen3(2_560, 9_728, 36, 32)),
        ("Qwen3 8B", 8_190_735_360, Qwen3(4_096, 12_288, 36, 32) with { TieWordEmbeddings = false }),
        ("Llama 3.2 1B", 1_235_814_400, Llama(2_048, 8_192, 16, 32)),
        ("Llama 3.2 3B", 3_212_749_824, Llama(3_072, 8_192, 28, 24)),
        ("Llama 3.1 8B", 8_030_261_248, Llama(4_096, 14_336, 32, 32) with { TieWordEmbeddings = false }),
    ];

    private static readonly (Func<QwenMemory, QwenMemory> Apply, OptimizerMoments Moments)[] Methods =
    [
        (model => model, OptimizerMoments.Float32),
        (model => model with { ComputeType = ScalarType.BFloat16 }, OptimizerMoments.Int8),
        (model => model with { Lora = new LoraOptions(), WeightType = ScalarType.BFloat16 }, OptimizerMoments.Float32),
        (model => model with { Lora = new LoraOptions(), WeightType = ScalarType.BFloat16, FourBitBase = true }, OptimizerMoments.Float32),
    ];

    [Fact]
    public void Shapes_have_the_published_numbers_of_parameters() => Assert.Equal(
        Models.Select(model => (model.Name, model.Parameters)), Models.Select(model => (model.Name, new DecoderCounts(model.Config).All)));

    // After a change of the planner, paste the lines that the failure prints.
    [Fact]
    public void The_page_has_the_planners_verdicts()
    {
        string[] page = File.ReadAllLines(Path.Combine(SharedData.RepositoryRoot, "docs", "memory.md"));
        string[] quoted = [.. page.SkipWhile(line => line != Header).Skip(2).TakeWhile(line => line.StartsWith('|'))];
        string[] expected = [.. Models.Select(Row)];
        Assert.True(expected.SequenceEqual(quoted), $"{Header}\n|---|---|---|---|---|\n{string.Join('\n', expected)}");
    }

    private static string Row((string Name, long Parameters, DecoderConfig Config) model) =>
        $"| {model.Name} | {string.Join(" | ", Methods.Select(method => Cell(method.Apply(new(model.Config)), method.Moments)))} |";

    // The smallest card that holds the run, and the planned peak.
    private static string Cell(QwenMemory model, OptimizerMoments moments)
    {
        var options = new GrpoOptions
        {
            PromptsPerStep = 8,
            GroupSize = 8,
            MicroBatchSize = 4,
            OptimizerMoments = moments,
            Sampling = new SamplingOptions { MaxPromptTokens = 512, MaxCompletionTokens = 512, MaxConcurrentSequences = 16 },
        };
        MemoryVerdict[] verdicts =
        [
            .. Cards.Select(card => MemoryPlanner.Judge(
                options, model with { GradientCheckpointing = true }, card * 1_000_000_000L, DeviceType.CUDA)),
        ];
        Assert.Equal(verdicts.Select(verdict => verdict.Fits), verdicts.Select(verdict => verdict.Fits).Order()); // and every larger one
        string peak = (verdicts[0].Plan.Peak / 1e9).ToString("0.0", CultureInfo.InvariantCulture);
        int fits = Array.FindIndex(verdicts, verdict => verdict.Fits);
        return fits < 0 ? $"none ({peak})" : $"{Cards[fits]} GB ({peak})";
    }

    private static DecoderConfig Qwen25(int hidden, int intermediate, int layers, int heads) => new()
    {
        VocabularySize = 151_936,
        HiddenSize = hidden,
        IntermediateSize = intermediate,
        LayerCount = layers,
        AttentionHeadCount = heads,
        KeyValueHeadCount = 2,
        TieWordEmbeddings = true,
    };

    private static DecoderConfig Qwen3(int hidden, int intermediate, int layers, int heads) =>
        Qwen25(hidden, intermediate, layers, heads) with { ModelType = "qwen3", KeyValueHeadCount = 8, HeadWidth = 128 };

    private static DecoderConfig Llama(int hidden, int intermediate, int layers, int heads) =>
        Qwen25(hidden, intermediate, layers, heads) with { ModelType = "llama", KeyValueHeadCount = 8, VocabularySize = 128_256 };
}
