using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Planning;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Planning;

/// <summary>
/// Numbers worked out by hand for V = 37, H = 24, I = 40, L = 2, A = 6, K = 2, D = 4. A micro-batch of N = 1 prompt of P = 3 tokens and B =
/// 2 completions of C = 5, of which 4 are fed: R = 3 + 8 = 11 tokens, S = 3 + 2 · 7 = 17 keys, M = 10 predicted.
/// </summary>
public sealed class QwenMemoryTests
{
    private static readonly MemorySizes Sizes = new()
    {
        DecodedPrompts = 2,
        DecodedSequences = 4,
        PromptLength = 3,
        CompletionLength = 5,
        MicroBatchPrompts = 1,
        MicroBatchSequences = 2,
        SharesPrompts = true,
        WithReference = true,
    };

    [Theory]
    [InlineData(true, 9_920)] // 37·24 + 2·(576 + 192 + 192 + 576 + 3·960 + 24 + 8 + 8 + 48) + 24
    [InlineData(false, 10_808)] // + 37·24
    public void Weights_are_those_of_the_model(bool tied, long numbers)
    {
        MemoryNeeds needs = new QwenMemory(TinyModels.Config(tied)).NeedsOf(Sizes);
        using CausalLM model = TinyModels.Create(tied);
        Assert.Equal(numbers, model.parameters().Sum(parameter => parameter.numel()));
        Assert.Equal((4 * numbers, numbers, 4 * numbers), (needs.Weights, needs.TrainedParameters, needs.Reference));
    }

    [Theory]
    [InlineData("qwen3", 11_400)] // 37·24 + 2·(864 + 288 + 288 + 864 + 3·960 + 48 + 12) + 24
    [InlineData("llama", 9_840)] // 37·24 + 2·(576 + 192 + 192 + 576 + 3·960 + 48) + 24
    [InlineData("llama with biases", 10_176)] // + 2·(24 + 8 + 8 + 24 + 40 + 40 + 24)
    public void Weights_are_those_of_every_family(string family, long numbers)
    {
        DecoderConfig config = TinyModels.Config(family: family);
        MemoryNeeds needs = new QwenMemory(config).NeedsOf(Sizes);
        using CausalLM model = CausalLM.Initialize(config, seed: 7);
        Assert.Equal(numbers, model.parameters().Sum(parameter => parameter.numel()));
        Assert.Equal((4 * numbers, numbers, 4 * numbers), (needs.Weights, needs.TrainedParameters, needs.Reference));
    }

    [Fact]
    public void Activations_include_queries_and_keys_before_their_norms()
    {
        DecoderConfig normed = TinyModels.Config(family: "qwen3");
        MemoryNeeds needs = new QwenMemory(normed).NeedsOf(Sizes);
        MemoryNeeds without = new QwenMemory(normed with { QueryKeyNorm = false }).NeedsOf(Sizes);
        Assert.Equal(2 * 4 * 11 * (36 + 12), needs.Activations - without.Activations);                  // L · 4 · R · (A·D + K·D)
    }

    [Fact]
    public void Adapters_are_those_of_the_model_and_the_reference_is_free()
    {
        // 2 layers · 16 · (48 + 32 + 32 + 48 + 64 + 64 + 64)
        MemoryNeeds needs = (Memory() with { Lora = new LoraOptions() }).NeedsOf(Sizes);
        using CausalLM model = TinyModels.Create();
        model.AddAdapter(new LoraOptions());
        Assert.Equal(11_264, model.parameters().Where(parameter => parameter.requires_grad).Sum(parameter => parameter.numel()));
        Assert.Equal((4 * (9_920L + 11_264), 11_264L, 0L), (needs.Weights, needs.TrainedParameters, needs.Reference));
        Assert.Equal((2 * 9_920L) + (4 * 11_264), (Memory() with { Lora = new LoraOptions(), WeightType = ScalarType.BFloat16 })
            .NeedsOf(Sizes).Weights);
        var part = new LoraOptions { Rank = 3, TargetModules = ["k_proj", "down_proj"] };
        Assert.Equal(2 * 3 * (32 + 64), (Memory() with { Lora = part }).NeedsOf(Sizes).TrainedParameters);
    }

    // A projection has 33 bytes for each block of 64 numbers and 4 for the mean and for each group of 256 blocks: q and o 9 blocks, 305
    // bytes, k and v 3 blocks, 107, the others 15 blocks, 503: 2,333. The rest has 9,920 − 2 · 4,416 = 1,088 numbers.
    [Fact]
    public void A_base_in_4_bits_counts_blocks_scales_and_one_weight_at_a_time()
    {
        QwenMemory adapted = Memory() with { Lora = new LoraOptions() };
        MemoryNeeds floats = adapted.NeedsOf(Sizes), fourBits = (adapted with { FourBitBase = true }).NeedsOf(Sizes);
        Assert.Equal((4 * 1_088) + (2 * 2_333) + (4 * 11_264), fourBits.Weights);
        const long OneWeight = 960 * (4 + 4); // gate_proj, and its float32 numbers on their way to another type
        Assert.Equal(
            (floats.Training + OneWeight, floats.Decoding + OneWeight, floats.Scoring + OneWeight),
            (fourBits.Training, fourBits.Decoding, fourBits.Scoring));
        Assert.Equal((floats.Activations, floats.Cache, 0), (fourBits.Activations, fourBits.Cache, fourBits.Reference));
        MemoryNeeds half = (adapted with { FourBitBase = true, WeightType = ScalarType.BFloat16 }).NeedsOf(Sizes);
        Assert.Equal((2 * 1_088) + (2 * 2_333) + (4 * 11_264), half.Weights);
        // Mixed: of the converted weights only those of the norms are kept, 2 · 48 bytes a layer.
        QwenMemory mixed = adapted with { ComputeType = ScalarType.BFloat16 };
        Assert.Equal(
            mixed.NeedsOf(Sizes).Activations - (2 * 2 * 4_416), (mixed with { FourBitBase = true }).NeedsOf(Sizes).Activations);
    }

    [Fact]
    public void Activations_are_what_autograd_keeps()
    {
        // A layer: inputs and results of the norms 4·1,056 (R·H·4), attention 4·(56·24 + 11·24) + 11·6·4, MLP 3·4·11·40: 16,200.
        // Besides: the final norm's input 1,056, predicting states 10·24·4, tables and mask 4·(2·11·4 + 4·7).
        Assert.Equal((2 * 16_200) + 1_056 + 960 + 464, Memory().NeedsOf(Sizes).Activations);
        // Of a layer only its input, R·H·4.
        Assert.Equal((2 * 1_056) + 1_056 + 960 + 464, (Memory() with { GradientCheckpointing = true }).NeedsOf(Sizes).Activations);
        // Every adapter keeps A(x): 7·11·4·16.
        Assert.Equal((2 * (16_200 + 4_928)) + 1_056 + 960 + 464, (Memory() with { Lora = new LoraOptions() }).NeedsOf(Sizes).Activations);
        // In 16 bits: norms' inputs 2·528, attention 2·56·24 + 264, MLP 2·2·11·40, adapters 4,928 and float32 copies of
        // what they read, 11·4·184.
        QwenMemory half = Memory() with { Lora = new LoraOptions(), WeightType = ScalarType.BFloat16 };
        Assert.Equal((2 * (1_056 + 2_952 + 1_760 + 4_928 + 8_096)) + 528 + 480 + 232, half.NeedsOf(Sizes).Activations);
        // Mixed: norms 4·528, attention 2·(56·24 + 11·24) + 264, MLP 3·2·11·40, and 2 bytes for each of 4,416 + 48 weights.
        QwenMemory mixed = Memory() with { ComputeType = ScalarType.BFloat16 };
        Assert.Equal((2 * (2_112 + 3_480 + 2_640 + 8_928)) + 528 + 480 + 232, mixed.NeedsOf(Sizes).Activations);
    }

    [Fact]
    public void Activations_grow_with_the_copies_of_a_prompt_that_is_not_shared()
    {
        // R = S = 2·7 = 14. Norms 4·1,344, attention 4·56·24 + 14·6·4, MLP 3·4·14·40; final norm 1,344, predicting 960, tables 4·2·14·4.
        Assert.Equal((2 * (5_376 + 5_712 + 6_720)) + 1_344 + 960 + 448, Memory().NeedsOf(Sizes with { SharesPrompts = false }).Activations);
        // Two prompts differ in length, so there is a mask: [2, 1, 7, 7].
        Assert.Equal((2 * (5_376 + 5_712 + 6_720)) + 1_344 + 960 + 448 + (4 * 98), Memory()
            .NeedsOf(Sizes with { MicroBatchPrompts = 2 }).Activations);
    }

    [Fact]
    public void Training_is_the_most_of_forward_turn_and_end()
    {
        // First micro-batch: activations 34,880, the MLP's activations again and gradients 4·11·(200 + 48), the output layer's 4·888.
        Assert.Equal(34_880 + 10_912 + 3_552, Memory().NeedsOf(Sizes).Training);
        // Others: all gradients, 4·9,920, in place of the output layer's.
        Assert.Equal(39_680 + 34_880 + 10_912, Memory().NeedsOf(Sizes with { HasOtherMicroBatches = true }).Training);
        // Checkpointing: the layer that is run again beside what is kept; its gradients are there, 4·9,032 / 2, when the
        // first layer's turn comes.
        Assert.Equal(18_064 + 16_200 + 10_912 + 3_552, (Memory() with { GradientCheckpointing = true }).NeedsOf(Sizes).Training);
        // A larger vocabulary: the turn, with the logits of all 10 rows, 4·10·V, the states that predict and the
        // output layer's gradient, 4·24·V.
        QwenMemory wide = new(TinyModels.Config() with { VocabularySize = 10_000 });
        Assert.Equal(34_880 + 400_000 + 960 + (4 * 240_000), wide.NeedsOf(Sizes).Training);
        // A larger one still: at the end there are the gradients of all weights, once.
        wide = new(TinyModels.Config(tied: false) with { VocabularySize = 10_000, IntermediateSize = 40_000 });
        Assert.Equal(
            4 * ((2 * 240_000) + (2 * (1_536 + 48 + 40 + (3 * 960_000))) + 24), wide.NeedsOf(Sizes with { CompletionLength = 1 }).Training);
    }

    [Fact]
    public void Small_blocks_are_activations_and_gradients_of_layers()
    {
        Assert.Equal(36_128 + (2 * 16_200), Memory().NeedsOf(Sizes).SmallBlocks);
        Assert.Equal(36_128 + 16_200 + 1_056, (Memory() with { GradientCheckpointing = true }).NeedsOf(Sizes).SmallBlocks);
        // 33 MiB of MLP inputs a tensor, all else is smaller.
        QwenMemory wide = new(TinyModels.Config() with { IntermediateSize = 786_432 });
        Assert.Equal(2 * (4_224 + 6_696), wide.NeedsOf(Sizes).SmallBlocks);
    }

    [Fact]
    public void Logits_are_a_chunk()
    {
        Assert.Equal(10 * 37 * 4, Memory().NeedsOf(Sizes).Logits);
        Assert.Equal(10 * 37 * 8, Memory().NeedsOf(Sizes with { WithEntropies = true }).Logits);
        MemorySizes longer = Sizes with { CompletionLength = 1_000 };
        Assert.Equal(2_000 * 37 * 4, Memory().NeedsOf(longer).Logits); // of all rows, as long as they are below 2^25
        Assert.Equal(256 * 37 * 8, Memory().NeedsOf(longer with { WithEntropies = true }).Logits);
        QwenMemory wide = new(TinyModels.Config() with { VocabularySize = 151_936 });
        Assert.Equal((200 * 151_936 * 4) + (4 * 24 * (200 + 7_168)), wide.NeedsOf(longer).Logits); // ten parts, none above 2^25 / V = 220
        Assert.Equal(10 * 37 * 8, (Memory() with { WeightType = ScalarType.BFloat16, Lora = new LoraOptions() }).NeedsOf(Sizes).Logits);
    }

    [Fact]
    public void Rollout_needs_cache_and_passes()
    {
        MemoryNeeds needs = Memory().NeedsOf(Sizes);
        Assert.Equal(2 * 2 * 4 * 8 * 7 * 4, needs.Cache); // keys and values · L · sequences · K·D · (P + C − 1) · 4
        Assert.Equal(6 * ((6 * 24) + (4 * 40)) * 4, needs.Decoding); // the MLP of 2 · 3 prompt tokens
        Assert.Equal(11 * 304 * 4, needs.Scoring); // of the micro-batch
        Assert.Equal(0, Memory().NeedsOf(Sizes with { WithReference = false }).Scoring);
        QwenMemory mixed = Memory() with { ComputeType = ScalarType.BFloat16 };
        Assert.Equal((needs.Cache, needs.Decoding), (mixed.NeedsOf(Sizes).Cache, mixed.NeedsOf(Sizes).Decoding)); // float32 on a CPU
        MemoryNeeds onDevice = mixed.NeedsOf(Sizes with { Device = DeviceType.CUDA });
        Assert.Equal((needs.Cache / 2, (needs.Decoding / 2) + (2 * 9_920)), (onDevice.Cache, onDevice.Decoding)); // a copy of the weights
        Assert.Equal((2 * 9_920L, 4 * 9_920L), (onDevice.Reference, onDevice.Weights));
        // a byte a weight
        Assert.Equal(needs.Decoding + (2 * 4_416) + 888, (Memory() with { Int8Rollouts = true }).NeedsOf(Sizes).Decoding);
    }

    [Fact]
    public void Leaner_models_come_cheapest_first()
    {
        Assert.Equal(
            [
                "gradient checkpointing (about a third more time in the update)",
                "gradient checkpointing, bfloat16 for products and activations", "adapters of rank 16 in place of all weights",
                "adapters of rank 16 in place of all weights, gradient checkpointing",
                "adapters of rank 16 in place of all weights, gradient checkpointing, the frozen base in the 16 bits that it is stored in",
                "adapters of rank 16 in place of all weights, gradient checkpointing, the frozen base in 4 bits and the rest of it in "
                    + "the 16 bits that it is stored in",
            ],
            new QwenMemory(TinyModels.Config() with { StoredType = "bfloat16" }).Leaner().Select(leaner => leaner.Change));
        QwenMemory lean = Memory() with { Lora = new LoraOptions(), GradientCheckpointing = true };
        Assert.Equal(["the frozen base in 4 bits"], lean.Leaner().Select(leaner => leaner.Change));
        Assert.Empty((lean with { FourBitBase = true }).Leaner());
        Assert.Empty((lean with { Int8Rollouts = true }).Leaner()); // which rounds weights that are not rounded yet
        QwenMemory stored = lean with { Config = TinyModels.Config() with { StoredType = "bfloat16" }, FourBitBase = true };
        Assert.Equal(
            ["the rest of the frozen base in the 16 bits that it is stored in"], stored.Leaner().Select(leaner => leaner.Change));
        var last = (QwenMemory)(Memory() with { Lora = new LoraOptions { Rank = 4 } }).Leaner()[^1].Model;
        Assert.Equal((4, true, true), (last.Lora!.Rank, last.GradientCheckpointing, last.FourBitBase));
    }

    [Fact]
    public void Policy_says_what_it_is()
    {
        using var policy = new QwenPolicy(TinyModels.Create()) { Int8Rollouts = true };
        policy.Model.GradientCheckpointing = true;
        policy.Model.AddAdapter(new LoraOptions { Rank = 2 });
        using var packed = new QwenPolicy(new CausalLM(TinyModels.Config(), fourBitBase: true));
        var memory = (QwenMemory)policy.Memory;
        Assert.Equal((false, true), (memory.FourBitBase, ((QwenMemory)packed.Memory).FourBitBase));
        Assert.Equal(
            (true, true, 2, ScalarType.Float32), (memory.Int8Rollouts, memory.GradientCheckpointing, memory.Lora!.Rank, memory.WeightType));
        Assert.Same(policy.Model.Config, memory.Config);
    }

    private static QwenMemory Memory() => new(TinyModels.Config());
}
