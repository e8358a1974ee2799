using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Rollouts;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// The operations of a token step on the path of a GPU, whose latency is their number. TorchSharp has no profiler. Its scopes count the
/// tensors that are created: one per call of libtorch, views included.
/// </summary>
public sealed class OperationCountTests
{
    // Per step and per layer. A change that adds operations has to say so here.
    private const int MostPerStep = 24;
    private const int MostPerLayer = 41;

    [Fact]
    public void Token_step_needs_no_more_operations_than_stated()
    {
        (long two, long four) = (Count(TinyModels.Config()), Count(TinyModels.Config() with { LayerCount = 4 }));
        long perLayer = (four - two) / 2, perStep = two - (2 * perLayer);
        Assert.True(perLayer <= MostPerLayer && perStep <= MostPerStep, $"{perStep} operations a step and {perLayer} a layer");
    }

    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void Looked_up_rotary_tables_are_the_computed_ones_bit_for_bit(string family)
    {
        DecoderConfig config = TinyModels.CpuConfig(family: family);
        using var scope = TensorScope.BeginNoGrad();
        using var table = new RotaryTable(config, capacity: 300, ScalarType.Float32, CPU);
        foreach (long[] rows in new long[][] { [0], [299, 0, 7], [.. Enumerable.Range(5, 33).Select(i => (long)(i * 8))] })
        {
            Tensor positions = tensor(rows, rows.Length, 1);
            (Tensor cosine, Tensor sine) = RotaryEmbedding.Tables(positions, config, ScalarType.Float32);
            (Tensor looked, Tensor lookedSine) = table.At(positions);
            TensorAssert.Identical(cosine, looked.contiguous(), "cosine");
            TensorAssert.Identical(sine, lookedSine.contiguous(), "sine");
        }
    }

    // The second step of two rows of unequal length, with their mask.
    private static long Count(DecoderConfig config)
    {
        using IDisposable device = DeviceTransfer.TreatCpuAsDevice();
        using var policy = new QwenPolicy(CausalLM.Initialize(config, seed: 3));
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch prompts = TokenBatchBuilder.Build([new([1, 2, 3], []), new([4], [])], padTokenId: 0, CPU);
        using IDecodingSession session = policy.StartDecoding(prompts, groupSize: 1, maxNewTokens: 5);
        session.Prefill();
        session.Advance(tensor(new long[] { 5, 6 }));
        Tensor next = tensor(new long[] { 7, 8 });
        ThreadDisposeScopeStatistics statistics = DisposeScopeManager.Statistics;
        long before = statistics.CreatedInScopeCount + statistics.CreatedOutsideScopeCount;
        Tensor logits = session.Advance(next);
        long made = statistics.CreatedInScopeCount + statistics.CreatedOutsideScopeCount - before;
        Assert.Equal([2, config.VocabularySize], logits.shape);
        return made;
    }
}
