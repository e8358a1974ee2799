using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Planning;
using Grpo.Models.Qwen.Weights;
using Grpo.Planning;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Planning;

/// <summary>Holds the planned activations against what a forward pass leaves in use until its backward pass.</summary>
[Collection(LiveTensors.Name)]
public sealed class LiveActivationTests
{
    private const int Sequences = 8;
    private const int PromptLength = 24;
    private const int CompletionLength = 40;

    private static DecoderConfig Config(string family) => TinyModels.Config(family: family) with
    {
        VocabularySize = 100,
        HiddenSize = 96,
        IntermediateSize = 256,
        LayerCount = 3,
    };

    [MallocTheory]
    [InlineData(true, false, false, ScalarType.Float32)]
    [InlineData(false, false, false, ScalarType.Float32)]
    [InlineData(true, true, false, ScalarType.Float32)]
    [InlineData(true, false, true, ScalarType.Float32)]
    [InlineData(false, false, true, ScalarType.Float32)]
    [InlineData(true, false, true, ScalarType.BFloat16)]
    [InlineData(true, true, true, ScalarType.BFloat16)]
    [InlineData(true, false, false, ScalarType.Float32, ScalarType.BFloat16)]
    [InlineData(false, true, false, ScalarType.Float32, ScalarType.BFloat16)]
    [InlineData(true, false, true, ScalarType.Float32, ScalarType.BFloat16)]
    [InlineData(true, false, false, ScalarType.Float32, null, "qwen3")]
    [InlineData(false, false, false, ScalarType.Float32, ScalarType.BFloat16, "qwen3")]
    [InlineData(true, false, true, ScalarType.Float32, null, "qwen3")]
    [InlineData(true, false, true, ScalarType.BFloat16, null, "qwen3")]
    [InlineData(true, true, false, ScalarType.Float32, null, "qwen3")]
    [InlineData(true, false, false, ScalarType.Float32, null, "llama with biases")]
    [InlineData(false, false, false, ScalarType.Float32, ScalarType.BFloat16, "llama")]
    [InlineData(true, false, true, ScalarType.Float32, null, "qwen2", true)]
    [InlineData(true, false, true, ScalarType.Float32, ScalarType.BFloat16, "qwen3", true)]
    [InlineData(false, true, true, ScalarType.BFloat16, null, "llama", true)]
    public void Activations_are_what_a_forward_pass_leaves_in_use(
        bool shared, bool checkpointing, bool lora, ScalarType type, ScalarType? computeType = null, string family = "qwen2",
        bool fourBits = false)
    {
        using var policy = new QwenPolicy(new CausalLM(Config(family), CPU, type, fourBits));
        using (var scope = TensorScope.BeginNoGrad())
        {
            foreach (Tensor parameter in policy.Model.parameters())
            {
                parameter.fill_(0.01);
            }
        }

        policy.Model.GradientCheckpointing = checkpointing;
        policy.Model.ComputeType = computeType ?? type;
        if (lora)
        {
            policy.Model.AddAdapter(new LoraOptions());
        }

        long planned = policy.Memory.NeedsOf(new MemorySizes
        {
            DecodedPrompts = 1,
            DecodedSequences = 1,
            PromptLength = PromptLength,
            CompletionLength = CompletionLength,
            MicroBatchPrompts = 1,
            MicroBatchSequences = Sequences,
            SharesPrompts = shared,
        }).Activations;

        using var outer = TensorScope.Begin();
        int[] prompt = [.. Enumerable.Range(1, PromptLength)];
        TokenBatch batch = TokenBatchBuilder.Build(
            [.. Enumerable.Range(0, Sequences).Select(row => new TokenSequence(prompt, [.. Enumerable.Range(row, CompletionLength)]))], 0,
            CPU, shared);
        // The first passes set up what all use, and the runtime's compiler comes and goes beside them: the median counts.
        long inUse = Enumerable.Range(0, 9).Select(_ => LeftInUse(policy, batch)).Skip(2).Order().ElementAt(3);
        // Besides tensors there are the graph's nodes, a few hundred bytes each, indices, and what libtorch caches for a shape
        // that it has not met.
        Assert.InRange((double)planned / inUse, 0.88, 1.05);
    }

    [MallocTheory]
    [InlineData(true)]
    [InlineData(false)]
    public void Weights_are_what_a_loaded_model_has_in_use(bool fourBits)
    {
        using var folder = new TemporaryFolder();
        DecoderConfig config = Config("qwen3") with { HiddenSize = 512, IntermediateSize = 1536, LayerCount = 4 };
        using (CausalLM model = CausalLM.Initialize(config, seed: 7))
        {
            QwenWeights.Save(model, folder.Path, ScalarType.BFloat16);
        }

        long planned = new QwenMemory(config) { FourBitBase = fourBits, Lora = new LoraOptions() }.NeedsOf(new MemorySizes
        {
            DecodedPrompts = 1,
            DecodedSequences = 1,
            PromptLength = 1,
            CompletionLength = 1,
            MicroBatchPrompts = 1,
            MicroBatchSequences = 1,
        }).Weights;
        // As above, the median counts. Besides tensors there are the modules themselves and names.
        long inUse = Enumerable.Range(0, 7).Select(_ => Loaded()).Skip(2).Order().ElementAt(2);
        Assert.InRange((double)planned / inUse, 0.9, 1.05);

        long Loaded()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            long before = HeapUse.Bytes();
            using CausalLM model = fourBits ? QwenWeights.LoadInFourBits(folder.Path) : QwenWeights.Load(folder.Path);
            model.AddAdapter(new LoraOptions());
            return HeapUse.Bytes() - before;
        }
    }

    private static long LeftInUse(QwenPolicy policy, TokenBatch batch)
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        using var scope = TensorScope.Begin();
        long before = HeapUse.Bytes();
        Tensor logProbs = policy.LogProbs(batch, 1);
        long after = HeapUse.Bytes();
        Assert.True(logProbs.requires_grad); // and so holds the graph
        return after - before;
    }
}
