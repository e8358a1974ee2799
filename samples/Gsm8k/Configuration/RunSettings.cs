using Grpo.Models.Qwen;
using Grpo.Rewards;
using static TorchSharp.torch;

namespace Grpo.Samples.Gsm8k;

/// <summary>What the sample itself needs to know; the rest is GrpoOptions and TrainerOptions.</summary>
internal sealed class RunSettings
{
    /// <summary>Model: folder or hub id; empty: the tiny model that comes with the sample.</summary>
    public string? Model { get; set; }

    /// <summary>Training data: jsonl or parquet file; empty: generated word problems.</summary>
    public string? Dataset { get; set; }

    /// <summary>Held-out data: jsonl or parquet file; empty: generated problems, or none with --dataset.</summary>
    public string? EvalDataset { get; set; }

    /// <summary>cpu, cuda or cuda:n.</summary>
    public string Device { get; set; } = "cpu";

    /// <summary>Where the reference model of a KL term lives: cpu, cuda or cuda:n; empty: with the policy.</summary>
    public string? ReferenceDevice { get; set; }

    /// <summary>Whether train leaves the token embedding, and a head that is tied to it, as it is: less memory.</summary>
    public bool FreezeEmbeddings { get; set; }

    /// <summary>Whether the update computes each layer again in its backward pass: less memory, more time.</summary>
    public bool GradientCheckpointing { get; set; }

    /// <summary>Whether products and activations are bfloat16 while weights stay float32: faster on a GPU and on some CPUs, with half of the activations.</summary>
    public bool Bfloat16 { get; set; }

    /// <summary>Whether completions are decoded with weights rounded to 8 bits: faster on a CPU, from a slightly different policy.</summary>
    public bool Int8Rollouts { get; set; }

    /// <summary>Published settings to start from; empty: settings that fit the model.</summary>
    public string? Preset { get; set; }

    /// <summary>Folder for report.html, metrics.jsonl, completions.jsonl and checkpoints; empty: runs/ and the time.</summary>
    public string? Output { get; set; }

    /// <summary>Whether train also writes event files for TensorBoard, into the folder tensorboard of the output.</summary>
    public bool Tensorboard { get; set; }

    /// <summary>Whether train records every step in flight.bin of the output, for replay.</summary>
    public bool Record { get; set; }

    /// <summary>Checkpoints that train keeps besides the best; a step can be replayed while the one before it is there.</summary>
    public int KeepCheckpoints { get; set; } = 3;

    /// <summary>Held-out problems per evaluation.</summary>
    public int EvalCount { get; set; } = 512;

    /// <summary>Calculations of the easiest generated held-out problems, 1 to 5.</summary>
    public int EvalMinSteps { get; set; } = 1;

    /// <summary>Calculations of the hardest generated held-out problems, 1 to 5; those that are trained on have up to three.</summary>
    public int EvalMaxSteps { get; set; } = 3;

    /// <summary>How answers are marked: TagAnswer, HashMarks, Boxed or LastNumber; not given: as the model's task.json says.</summary>
    public Rewards.AnswerFormat AnswerFormat { get; set; } = Rewards.AnswerFormat.TagAnswer;

    /// <summary>System message of every prompt, empty for none; not given: that of the model's task.json, else one that asks for the format.</summary>
    public string? SystemPrompt { get; set; }

    /// <summary>Whether train prints its plan and stops, before anything is sampled or written.</summary>
    public bool Explain { get; set; }

    /// <summary>Rank of the adapters that train trains in place of the weights; empty: the weights, or the adapter that the model is.</summary>
    public int? LoraRank { get; set; }

    /// <summary>Numerator of their scale alpha / rank; empty: 32.</summary>
    public double? LoraAlpha { get; set; }

    /// <summary>What the model computes in; null: the type of its weights.</summary>
    public ScalarType? ToComputeType() => Bfloat16 ? ScalarType.BFloat16 : null;

    /// <summary>The adapters that train asks for; null: none.</summary>
    /// <exception cref="ArgumentException">There is an alpha without a rank.</exception>
    public LoraOptions? ToLora() => (LoraRank, LoraAlpha) switch
    {
        (null, null) => null,
        (null, _) => throw new ArgumentException("--lora-alpha is given without --lora-rank: nothing says that adapters are trained. Give both, or neither."),
        ({ } rank, null) => new LoraOptions { Rank = rank },
        ({ } rank, { } alpha) => new LoraOptions { Rank = rank, Alpha = alpha },
    };
}
