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

    /// <summary>Whether the update computes each layer again in its backward pass: less memory, more time.</summary>
    public bool GradientCheckpointing { get; set; }

    /// <summary>Published settings to start from; empty: settings that fit the model.</summary>
    public string? Preset { get; set; }

    /// <summary>Folder for report.html, metrics.jsonl, completions.jsonl and checkpoints; empty: runs/ and the time.</summary>
    public string? Output { get; set; }

    /// <summary>Whether train also writes event files for TensorBoard, into the folder tensorboard of the output.</summary>
    public bool Tensorboard { get; set; }

    /// <summary>Held-out problems per evaluation.</summary>
    public int EvalCount { get; set; } = 256;

    /// <summary>How answers are marked: TagAnswer, HashMarks, Boxed or LastNumber.</summary>
    public Rewards.AnswerFormat AnswerFormat { get; set; } = Rewards.AnswerFormat.TagAnswer;

    /// <summary>Whether train prints its plan and stops, before anything is sampled or written.</summary>
    public bool Explain { get; set; }
}
