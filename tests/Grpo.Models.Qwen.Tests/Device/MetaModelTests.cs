using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// The parts of the model on the meta device, which has no numbers and refuses elementwise operations of mixed devices. The parts whose
/// operations it lacks or lets pass check their devices themselves.
/// </summary>
public sealed class MetaModelTests
{
    private static readonly DecoderConfig Config = TinyModels.Config();
    private static readonly ParameterPlacement Meta = new(META, ScalarType.Float32);

    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void Rotary_tables_norms_and_MLP_stay_on_the_device(string family)
    {
        DecoderConfig config = TinyModels.Config(family: family);
        using var scope = TensorScope.Begin();
        using var norm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, Meta);
        using var mlp = new FeedForward(config, Meta);
        AttentionContext context = AttentionContext.ForSequences(
            zeros([2, 5], ScalarType.Int64, META), attentionMask: null, config, ScalarType.Float32);
        Tensor hidden = zeros([2, 5, config.HiddenSize], ScalarType.Float32, META).requires_grad_(true);
        Tensor output = mlp.call(norm.call(hidden), context);
        BackwardPass.Run(output.sum());
        Assert.Equal(DeviceType.META, hidden.grad!.device_type);
        Assert.Equal(DeviceType.META, context.SignedSine.device_type); // rotating needs roll: no kernel
        Assert.Equal([1, 5, 1, config.HeadWidth], context.Cosine.shape);
    }

    [Fact]
    public void Cache_is_written_in_place_on_the_device_and_refuses_keys_of_the_CPU()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var cache = new KeyValueCache(Config, slots: 4, capacity: 6, Meta);
        long[] shape = [2, Config.KeyValueHeadCount, 3, Config.HeadWidth];
        Tensor prompts = zeros(shape, ScalarType.Float32, META);
        cache.WritePrompts(0, prompts, prompts, groupSize: 2);
        Assert.Throws<ArgumentException>(() => cache.WritePrompts(0, zeros(shape, ScalarType.Float32, CPU), prompts, groupSize: 2));
        cache.CommitPrompts([3, 2], groupSize: 2);
        Tensor next = zeros([4, Config.KeyValueHeadCount, 1, Config.HeadWidth], ScalarType.Float32, META);
        Tensor indices = zeros([4, 1, 1, 1], ScalarType.Int64, META).expand(4, Config.KeyValueHeadCount, 1, Config.HeadWidth);
        Assert.Equal([4, Config.KeyValueHeadCount, 4, Config.HeadWidth], cache.Append(0, next, next, indices).Keys.shape);
        Assert.Throws<ArgumentException>(() => cache.Append(0, next, zeros(next.shape, ScalarType.Float32, CPU), indices));
    }

    [Fact]
    public void Packing_needs_no_number_of_the_device()
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build(
            [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([1, 2, 3], [])], padTokenId: 0, META, sharePrompts: true);
        PackedBatch packed = PackedBatch.From(batch, batch.SharedPrompts!, ScalarType.Float32);
        Tensor[] tensors =
        [
            packed.TokenIds, packed.Positions, packed.Predicting, packed.Targets, packed.CompletionIndices,
            packed.Attention.PromptSlots, packed.Attention.KeySlots, packed.Attention.Mask,
        ];
        Assert.All(tensors, tensor => Assert.Equal(DeviceType.META, tensor.device_type));
        Assert.Equal([1, 7], packed.TokenIds.shape);                                     // 3 + 1 of prompts, 1 + 2 of completions
        Assert.ThrowsAny<Exception>(() => PackedBatch.From(batch with { Sequences = null }, batch.SharedPrompts!, ScalarType.Float32));
    }

    [Fact]
    public void Attention_over_a_packed_row_refuses_a_mask_of_the_CPU()
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new([1, 2], [3, 4]), new([1, 2], [5])], padTokenId: 0, CPU, sharePrompts: true);
        PackedAttention attention = PackedBatch.From(batch, batch.SharedPrompts!, ScalarType.Float32).Attention;
        Tensor heads = zeros([1, 3, 2, 4], ScalarType.Float32, META);
        Assert.Contains(
            "is on cpu but must be on meta", Assert.Throws<ArgumentException>(() => attention.Attend(heads, heads, heads)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Embedding_refuses_ids_of_the_CPU()
    {
        using var scope = TensorScope.Begin();
        Tensor weight = zeros([7, 4], ScalarType.Float32, META);
        Assert.Throws<ArgumentException>(() => EmbeddingLookup.Rows(weight, zeros([3], ScalarType.Int64, CPU)));
    }
}
