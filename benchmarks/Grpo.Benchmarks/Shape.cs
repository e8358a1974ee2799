using Grpo.Models.Qwen.Config;

namespace Grpo.Benchmarks;

/// <summary>The shape of a model of realistic size. Its weights are random, because speed does not depend on their values.</summary>
internal sealed record Shape(string Name, DecoderConfig Config)
{
    public static IReadOnlyList<Shape> All { get; } =
    [
        new("tiny", CreateConfig(hidden: 256, layers: 4, heads: 4, keyValueHeads: 2, intermediate: 688, vocabulary: 2048)),
        new("small", CreateConfig(hidden: 512, layers: 8, heads: 8, keyValueHeads: 2, intermediate: 1376, vocabulary: 32_768)),
        new("0.5b", CreateConfig(hidden: 896, layers: 24, heads: 14, keyValueHeads: 2, intermediate: 4864, vocabulary: 151_936)),
        new("1.5b", CreateConfig(hidden: 1536, layers: 28, heads: 12, keyValueHeads: 2, intermediate: 8960, vocabulary: 151_936)),
    ];

    /// <summary>The number of weights in a layer's projections. Every token is multiplied by all of them.</summary>
    public long LayerWeights =>
        (2L * Config.HiddenSize * Config.HiddenSize) + (2L * Config.HiddenSize * Config.KeyValueHeadCount * Config.HeadWidth)
        + (3L * Config.HiddenSize * Config.IntermediateSize);

    /// <summary>The number of weights in the head.</summary>
    public long HeadWeights => (long)Config.VocabularySize * Config.HiddenSize;

    /// <summary>The number of weights that one pass over tokens reads: all layers and the head.</summary>
    public long ReadWeights => (Config.LayerCount * LayerWeights) + HeadWeights;

    /// <summary>
    /// Counts the multiplications and additions of a forward pass over sequences of one length: the projections, the causal half of the
    /// attention, and the head at some positions. A backward pass takes twice as many.
    /// </summary>
    public double ForwardOperations(long sequences, long length, long headPositions) =>
        (2.0 * Config.LayerCount * LayerWeights * sequences * length)
        + (2.0 * Config.LayerCount * sequences * length * length * Config.HiddenSize)
        + (2.0 * HeadWeights * headPositions);

    /// <summary>
    /// Counts the multiplications and additions of a forward pass over groups whose prompt is computed once, with the head at every
    /// completion token.
    /// </summary>
    public double SharedForwardOperations(long groups, long groupSize, long prompt, long completion)
    {
        long rows = groups * groupSize, tokens = (groups * prompt) + (rows * completion);
        double pairs = (groups * (double)prompt * prompt) + (rows * (double)completion * ((2 * prompt) + completion));
        return (2.0 * Config.LayerCount * LayerWeights * tokens) + (2.0 * Config.LayerCount * Config.HiddenSize * pairs)
            + (2.0 * HeadWeights * rows * completion);
    }

    /// <summary>The number of bytes of one token's float32 keys and values.</summary>
    public long CacheBytes => 2L * sizeof(float) * Config.LayerCount * Config.KeyValueHeadCount * Config.HeadWidth;

    private static DecoderConfig CreateConfig(
        int hidden, int layers, int heads, int keyValueHeads, int intermediate, int vocabulary) => new()
        {
            HiddenSize = hidden,
            LayerCount = layers,
            AttentionHeadCount = heads,
            KeyValueHeadCount = keyValueHeads,
            IntermediateSize = intermediate,
            VocabularySize = vocabulary,
            MaxPositions = 32_768,
            RopeTheta = 1e6,
            TieWordEmbeddings = true,
        };
}
