using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The shape of the model that comes with the sample. It has less than a million weights and takes a second or two per training step on two
/// cores.
/// </summary>
internal static class TinyShape
{
    /// <summary>The size of the vocabulary. With a few more tokens, the trainer would run out of pairs in the generated problems.</summary>
    public const int VocabularySize = 512;

    public static DecoderConfig Config(QwenTokenizer tokenizer) => new()
    {
        VocabularySize = tokenizer.VocabularySize,
        HiddenSize = 128,
        IntermediateSize = 384,
        LayerCount = 4,
        AttentionHeadCount = 4,
        KeyValueHeadCount = 2,
        MaxPositions = 2048,
        RopeTheta = 10_000,
        TieWordEmbeddings = true,
        EosTokenIds = [.. tokenizer.EndTokenIds.Order()],
    };
}
