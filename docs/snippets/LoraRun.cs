using Grpo.Models.Qwen;

namespace Grpo.Snippets;

/// <summary>Memory: training adapters in place of the weights.</summary>
public static class LoraRun
{
    public static async Task TrainAsync(IReadOnlyList<Prompt> prompts, IRewardFunction reward, CancellationToken cancellationToken)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            "Qwen/Qwen2.5-1.5B-Instruct",
            new QwenLoadOptions
            {
                Device = "cuda",
                Lora = new LoraOptions { Rank = 16, Alpha = 32 },
                WithReference = true,                                            // the same weights with the adapter off: no second copy
                KeepStoredType = true,                                           // the frozen base stays bfloat16, the adapter is float32
            },
            cancellationToken);
        var sampler = new PolicyGroupSampler(qwen.Tokenizer, qwen.ChatTemplate);
        GrpoOptions options = GrpoPresets.GrpoPaper();                             // its rate is unset: 1e-5 for adapters
        using var optimizer = new GrpoOptimizer(qwen.Policy, sampler, reward, options, qwen.Reference);
        var trainer = new GrpoTrainer(optimizer, prompts, new TrainerOptions { Steps = 200 });
        await trainer.TrainAsync(cancellationToken);

        Directory.CreateDirectory("adapter");
        qwen.Policy.Save("adapter");                                             // adapter_config.json and adapter_model.safetensors

        Directory.CreateDirectory("merged");
        qwen.Policy.MergeAdapter();
        qwen.Policy.Save("merged");                                              // an ordinary Qwen2 checkpoint
        qwen.Policy.UnmergeAdapter();                                            // the base again, bit for bit
    }

    public static async Task MergeFourBitsAsync(CancellationToken cancellationToken)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            "adapter", new QwenLoadOptions { FourBitBase = true }, cancellationToken);
        Directory.CreateDirectory("merged");
        using QwenPolicy merged = qwen.Policy.Dequantize();
        merged.MergeAdapter();
        merged.Save("merged");                                                   // computes what was trained, in float32
    }

    public static async Task LoadAsync(CancellationToken cancellationToken)
    {
        // The adapter names its base; where that has moved, give both.
        using QwenPretrained byName = await QwenPretrained.LoadAsync("adapter", cancellationToken: cancellationToken);
        using QwenPretrained byHand = await QwenPretrained.LoadAsync(
            "models/Qwen2.5-1.5B-Instruct", new QwenLoadOptions { Adapter = "adapter" }, cancellationToken);
    }
}
