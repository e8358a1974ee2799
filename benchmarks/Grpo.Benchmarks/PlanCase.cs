using Grpo.Models.Qwen;

namespace Grpo.Benchmarks;

/// <summary>A run whose peak memory is compared with its plan.</summary>
/// <param name="Name">The name of its row in the table.</param>
/// <param name="Shape">The shape of the model.</param>
/// <param name="Options">The options, which hold the sizes of the run.</param>
internal sealed record PlanCase(string Name, Shape Shape, GrpoOptions Options)
{
    public bool GradientCheckpointing { get; init; }

    public LoraOptions? Lora { get; init; }

    public bool Int8Rollouts { get; init; }

    public bool BFloat16 { get; init; }

    public bool FourBitBase { get; init; }

    /// <summary>True if the heap keeps freed memory. The plan can then only estimate the gaps in the heap.</summary>
    public bool KeepsFreedMemory { get; init; }

    public static IReadOnlyList<PlanCase> All { get; } =
    [
        Create("tiny, 8 x (64 + 64)", "tiny", groups: 2, prompt: 64, completion: 64),
        Create("tiny, 8 x (128 + 1024)", "tiny", groups: 2, prompt: 128, completion: 1024),
        Create("small, 8 x (128 + 128)", "small", groups: 2, prompt: 128, completion: 128),
        Create("small, 8 x (128 + 128), reference", "small", groups: 2, prompt: 128, completion: 128, reference: true),
        Create("small, 8 x (1024 + 128), one micro-batch", "small", groups: 1, prompt: 1024, completion: 128),
        Create("small, 16 x (256 + 256), prompts not shared", "small", groups: 2, prompt: 256, completion: 256, change: options =>
        {
            options.SharePrompts = false;
            options.MicroBatchSize = 16;
        }),
        Create(
            "small, 32 x (128 + 256), 64 decoded at a time", "small", groups: 8, prompt: 128, completion: 256,
            change: options => options.MicroBatchSize = 32),
        Create(
            "small, 32 x (128 + 512), checkpointing", "small", groups: 4, prompt: 128, completion: 512,
            change: options => options.MicroBatchSize = 32)
            with { GradientCheckpointing = true },
        Create("small, 8 x (128 + 512), LoRA, reference", "small", groups: 2, prompt: 128, completion: 512, reference: true) with
        {
            Lora = new LoraOptions(),
        },
        Create("small, 8 x (128 + 512), bfloat16, reference", "small", groups: 2, prompt: 128, completion: 512, reference: true) with
        {
            BFloat16 = true,
        },
        Create(
            "small, at most 1,500 tokens, 8-bit rollouts", "small", groups: 2, prompt: 128, completion: 512,
            change: options => options.MaxTokensPerMicroBatch = 1500)
            with { Int8Rollouts = true },
        Create("0.5b, 8 x (64 + 128), LoRA, checkpointing, reference", "0.5b", groups: 1, prompt: 64, completion: 128, reference: true)
            with { Lora = new LoraOptions(), GradientCheckpointing = true },
        Create("0.5b, 8 x (64 + 128), LoRA, checkpointing, reference, base in 4 bits", "0.5b", 1, 64, 128, reference: true)
            with { Lora = new LoraOptions(), GradientCheckpointing = true, FourBitBase = true },
        Create("0.5b, 8 x (64 + 128), LoRA, reference, base in 4 bits, freed memory kept", "0.5b", 1, 64, 128, reference: true)
            with { Lora = new LoraOptions(), FourBitBase = true, KeepsFreedMemory = true },
        Create("0.5b, 8 x (64 + 128), reference", "0.5b", groups: 1, prompt: 64, completion: 128, reference: true),
        Create("0.5b, 8 x (64 + 128), reference, freed memory kept", "0.5b", groups: 1, prompt: 64, completion: 128, reference: true) with
        {
            KeepsFreedMemory = true,
        },
        Create(
            "0.5b, 8 x (64 + 128), bfloat16, checkpointing, reference, freed memory kept", "0.5b", groups: 1, prompt: 64, completion: 128,
            reference: true)
            with { BFloat16 = true, GradientCheckpointing = true, KeepsFreedMemory = true },
    ];

    private static PlanCase Create(
        string name, string shape, int groups, int prompt, int completion, bool reference = false, Action<GrpoOptions>? change = null)
    {
        var options = new GrpoOptions
        {
            PromptsPerStep = groups,
            GroupSize = 8,
            MicroBatchSize = 8,
            LearningRate = 1e-9,
            GradientSpikeFactor = null,
            KlCoefficient = reference ? 0.04 : 0,
            Sampling = new SamplingOptions { MaxPromptTokens = prompt, MaxCompletionTokens = completion },
        };
        change?.Invoke(options);
        return new PlanCase(name, Shape.All.First(known => known.Name == shape), options);
    }
}
