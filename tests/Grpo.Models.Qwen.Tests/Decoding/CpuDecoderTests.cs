using CsCheck;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class CpuDecoderTests
{
    [Fact]
    public void TryCreate_takes_a_float32_model_whose_widths_suit_and_leaves_others_to_the_modules()
    {
        Assert.True(Suits(TinyModels.CpuConfig()));
        Assert.True(Suits(TinyModels.CpuConfig(tied: false)));
        Assert.All(TinyModels.Families, family => Assert.True(Suits(TinyModels.CpuConfig(family: family))));
        Assert.False(Suits(TinyModels.Config()));                                                    // widths of 24 and 40
        Assert.False(Suits(TinyModels.CpuConfig() with { AttentionHeadCount = 12 }));               // heads of width 16
        Assert.False(Suits(TinyModels.CpuConfig() with { VocabularySize = 38 }));                   // not in fours
        Assert.False(Suits(TinyModels.CpuConfig(), model => model.to(ScalarType.BFloat16)));
        Assert.False(Suits(TinyModels.CpuConfig(), model => model.AddAdapter(new LoraOptions())));
        Assert.True(Suits(TinyModels.CpuConfig(), model =>
        {
            model.AddAdapter(new LoraOptions());
            new QwenPolicy(model).MergeAdapter();
        }));
    }

    /// <summary>The decoder for each width of vectors. All of them run on every processor, the wide ones in parts.</summary>
    public static TheoryData<int> Widths => [128, 256, 512];

    [Theory]
    [MemberData(nameof(Widths))]
    public void Advance_gives_a_row_the_same_logits_to_the_last_bit_whatever_its_neighbors_and_the_number_of_threads(int bits)
    {
        using CausalLM model = CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7);
        int threads = get_num_threads();
        Gen.Select(Gen.Int[1, 40].Array[1, 32], Gen.Int[0, 39], Gen.Int[1, 3]).Sample((lengths, token, count) =>
        {
            try
            {
                set_num_threads(1);
                float[] alone = First(bits, model, [lengths[0]], token);
                set_num_threads(count);
                Assert.Equal(alone, First(bits, model, lengths, token));
            }
            finally
            {
                set_num_threads(threads);
            }
        }, iter: 20, threads: 1);
    }

    [Fact]
    public void Advance_refuses_a_token_that_is_not_of_the_vocabulary()
    {
        using CausalLM model = CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7);
        using var policy = new QwenPolicy(model);
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = policy.StartDecoding(
            DecodingSessionTests.Prompts([[1, 2], [3]]), groupSize: 1, maxNewTokens: 2);
        session.Prefill();
        ErrorAssert.Says<ArgumentException>(
            "Token 40 of row 1 is not below the vocabulary of 40", () => session.Advance(DecodingSessionTests.Ids([5, 40])));
        ErrorAssert.Says<ArgumentException>("Token -1 of row 0", () => session.Advance(DecodingSessionTests.Ids([-1, 5])));
    }

    // The numbers differ in the order in which the places of a vector are added, and in how e^x rounds.
    [Fact]
    public void Advance_gives_the_same_logits_within_rounding_for_every_width()
    {
        foreach (string family in TinyModels.Families)
        {
            using CausalLM model = TinyModels.Uneven(TinyModels.CpuConfig(family: family));
            float[] widest = First(512, model, [1, 40, 17], token: 3);
            Assert.True(widest.Max() - widest.Min() > 1, "The logits are too alike to tell anything.");
            foreach (int bits in new[] { 128, 256 })
            {
                Assert.All(widest.Zip(First(bits, model, [1, 40, 17], token: 3)),
                    pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, 2e-5));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Advance_gives_rows_of_one_prompt_the_same_logits_to_the_last_bit_as_rows_of_their_own(int bits)
    {
        using CausalLM model = TinyModels.Uneven(TinyModels.CpuConfig(family: "qwen3"));
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 20], Gen.Int[0, int.MaxValue]).Sample((length, rows, seed) =>
        {
            long[] first = [.. Enumerable.Range(0, rows).Select(row => (seed + (7L * row)) % 40)], second = [.. first.Reverse()];
            int[] kept = [.. Enumerable.Range(0, rows).Where(row => (row + seed) % 3 != 0).DefaultIfEmpty(0).Reverse()];
            float[][] together = Grow(bits, model, [length, 5], [first, [.. kept.Select(row => second[row])]], kept);
            for (int i = 0; i < kept.Length; i++)
            {
                float[][] alone = Grow(bits, model, [length], [[first[kept[i]]], [second[kept[i]]]], [0]);
                Assert.Equal(alone[0], together[i]);
            }
        }, iter: 20, threads: 1);
    }

    // Two tokens for rows that begin with the first prompt, between which some rows are evicted. Rows of a second prompt stand beside them.
    private static float[][] Grow(int bits, CausalLM model, int[] prompts, long[][] tokens, int[] kept)
    {
        using var scope = TensorScope.BeginNoGrad();
        DecoderConfig config = model.Config;
        int rows = tokens[0].Length;
        using var cache = new KeyValueCache(config, rows * prompts.Length, capacity: 42, new ParameterPlacement(CPU, ScalarType.Float32));
        using var generator = new Generator(3);
        // The first prompt is the same whatever stands beside it.
        Tensor keys = randn([2, config.KeyValueHeadCount, 40, config.HeadWidth], generator: generator).narrow(0, 0, prompts.Length);
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            cache.WritePrompts(layer, keys, keys + 1, groupSize: rows);
        }

        cache.CommitPrompts(prompts, groupSize: rows);
        using CpuDecoder decoder = Create(bits, model, cache);
        decoder.Advance([.. Enumerable.Repeat(tokens[0], prompts.Length).SelectMany(ids => ids)]);
        cache.CommitNext();
        cache.KeepRows(kept);
        Tensor logits = decoder.Advance(tokens[1]);
        return [.. Enumerable.Range(0, kept.Length).Select(row => logits[row].data<float>().ToArray())];
    }

    private static CpuDecoder Create(int bits, CausalLM model, KeyValueCache cache) => bits switch
    {
        128 => new VectorDecoder<Floats128>(model, cache, int8: null),
        256 => new VectorDecoder<Floats256>(model, cache, int8: null),
        _ => new VectorDecoder<Floats512>(model, cache, int8: null),
    };

    // Logits of the first row of a cache of rows of some lengths, after three new tokens.
    private static float[] First(int bits, CausalLM model, int[] lengths, int token)
    {
        using var scope = TensorScope.BeginNoGrad();
        DecoderConfig config = model.Config;
        using var cache = new KeyValueCache(config, lengths.Length, capacity: 43, new ParameterPlacement(CPU, ScalarType.Float32));
        using var generator = new Generator(3);
        Tensor keys = randn([1, config.KeyValueHeadCount, 40, config.HeadWidth], generator: generator).expand(lengths.Length, -1, -1, -1);
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            cache.WritePrompts(layer, keys, keys + 1, groupSize: 1);
        }

        cache.CommitPrompts(lengths, groupSize: 1);
        using CpuDecoder decoder = Create(bits, model, cache);
        long[] ids = [.. Enumerable.Repeat((long)token, lengths.Length)];
        for (int step = 0; step < 2; step++)
        {
            decoder.Advance(ids);
            cache.CommitNext();
        }

        return decoder.Advance(ids)[0].data<float>().ToArray();
    }

    [Fact]
    public void Advance_says_that_the_model_is_gone_or_elsewhere()
    {
        var model = CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7);
        var policy = new QwenPolicy(model);
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = policy.StartDecoding(DecodingSessionTests.Prompts([[1, 2]]), groupSize: 1, maxNewTokens: 3);
        session.Prefill();
        session.Advance(DecodingSessionTests.Ids([5]));
        policy.Dispose();
        Assert.ThrowsAny<InvalidOperationException>(() => session.Advance(DecodingSessionTests.Ids([5])));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_session_may_be_disposed_twice(bool rounds)
    {
        using var policy = new QwenPolicy(CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7)) { Int8Rollouts = rounds };
        using var scope = TensorScope.BeginNoGrad();
        IDecodingSession session = policy.StartDecoding(DecodingSessionTests.Prompts([[1, 2]]), groupSize: 1, maxNewTokens: 2);
        session.Dispose();
        session.Dispose();
        Assert.Throws<ObjectDisposedException>(() => session.Prefill());
    }

    private static bool Suits(DecoderConfig config, Action<CausalLM>? change = null)
    {
        using CausalLM model = CausalLM.Initialize(config, seed: 7);
        change?.Invoke(model);
        using var cache = new KeyValueCache(config, slots: 1, capacity: 2, new ParameterPlacement(CPU, model.WeightType));
        using CpuDecoder? decoder = CpuDecoder.TryCreate(model, cache, int8: null);
        return decoder is not null;
    }
}
