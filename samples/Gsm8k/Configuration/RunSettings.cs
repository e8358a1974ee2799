using Grpo.IO;
using Grpo.Models.Qwen;
using static TorchSharp.torch;

namespace Grpo.Samples.Gsm8k;

/// <summary>The settings of the sample itself, beyond those of GrpoOptions and TrainerOptions.</summary>
internal sealed class RunSettings
{
    /// <summary>The model: a folder or a hub id. If empty, the tiny model that comes with the sample.</summary>
    public string? Model { get; set; }

    /// <summary>The training data: a jsonl or parquet file. If empty, generated word problems.</summary>
    public string? Dataset { get; set; }

    /// <summary>The held-out data: a jsonl or parquet file. If empty, generated problems, or none with --dataset.</summary>
    public string? EvalDataset { get; set; }

    /// <summary>
    /// The chat template that replaces the model's own: qwen2.5, chatml, or the path of a file such as chat_template.jinja. If empty, the
    /// model's own.
    /// </summary>
    public string? ChatTemplate { get; set; }

    /// <summary>The template's argument enable_thinking. If empty, the template's own default.</summary>
    public bool? EnableThinking { get; set; }

    /// <summary>The device: cpu, cuda or cuda:n.</summary>
    public string Device { get; set; } = "cpu";

    /// <summary>The device of the reference model of a KL term: cpu, cuda or cuda:n. If empty, the device of the policy.</summary>
    public string? ReferenceDevice { get; set; }

    /// <summary>True if train does not change the token embedding and a head that is tied to it. This saves memory.</summary>
    public bool FreezeEmbeddings { get; set; }

    /// <summary>True if the update recomputes each layer in its backward pass. This saves memory and takes more time.</summary>
    public bool GradientCheckpointing { get; set; }

    /// <summary>
    /// True if products and activations are bfloat16 while weights stay float32. This is faster on GPUs and some CPUs, and halves the
    /// memory of activations.
    /// </summary>
    public bool Bfloat16 { get; set; }

    /// <summary>
    /// True if completions are decoded with weights rounded to 8 bits. This is faster on a CPU and changes the policy slightly.
    /// </summary>
    public bool Int8Rollouts { get; set; }

    /// <summary>
    /// True if the frozen base of the adapters is in 4 bits. This needs an eighth of the memory of its weights, and starts from a slightly
    /// worse model. Only with --lora-rank or a model that is an adapter.
    /// </summary>
    public bool FourBitBase { get; set; }

    /// <summary>The name of published settings to start from. If empty, settings that fit the model.</summary>
    public string? Preset { get; set; }

    /// <summary>
    /// The folder for report.html, metrics.jsonl, completions.jsonl and checkpoints. If empty, a folder in runs/ named by the time.
    /// </summary>
    public string? Output { get; set; }

    /// <summary>True if train also writes event files for TensorBoard, to the folder tensorboard in the output.</summary>
    public bool Tensorboard { get; set; }

    /// <summary>True if train records every step in the output's flight.bin, for replay.</summary>
    public bool Record { get; set; }

    /// <summary>
    /// The number of checkpoints to keep in addition to the best. A step can be replayed only while the checkpoint before it exists.
    /// </summary>
    public int KeepCheckpoints { get; set; } = 3;

    /// <summary>The number of held-out problems per evaluation.</summary>
    public int EvalCount { get; set; } = 512;

    /// <summary>The number of calculations in the easiest generated held-out problems, 1 to 5.</summary>
    public int EvalMinSteps { get; set; } = 1;

    /// <summary>
    /// The number of calculations in the hardest generated held-out problems, 1 to 5. Training problems have up to three.
    /// </summary>
    public int EvalMaxSteps { get; set; } = 3;

    /// <summary>
    /// The format of the answers: TagAnswer, HashMarks, Boxed or LastNumber. If not given, the one in the model's task.json.
    /// </summary>
    public Rewards.AnswerFormat AnswerFormat { get; set; } = Rewards.AnswerFormat.TagAnswer;

    /// <summary>
    /// The system message of every prompt, or empty for none. If not given, the one in the model's task.json, or else one that asks for the
    /// format.
    /// </summary>
    public string? SystemPrompt { get; set; }

    /// <summary>True if train only prints its plan and stops before it samples or writes anything.</summary>
    public bool Explain { get; set; }

    /// <summary>
    /// The rank of the adapters to train instead of the weights. If empty, train changes the weights, or the model's own adapter.
    /// </summary>
    public int? LoraRank { get; set; }

    /// <summary>The numerator alpha of the adapters' scale alpha / rank. If empty, 32.</summary>
    public double? LoraAlpha { get; set; }

    /// <summary>Returns the options of loading with the chat template and its arguments.</summary>
    /// <exception cref="ArgumentException">The chat template is neither the name of one nor a file.</exception>
    public QwenLoadOptions WithTemplate(QwenLoadOptions options)
    {
        ChatTemplateOptions? arguments = EnableThinking is { } thinking ? new ChatTemplateOptions { EnableThinking = thinking } : null;
        return ChatTemplate switch
        {
            null or "" => options with { TemplateOptions = arguments },
            "qwen2.5" or "chatml" when arguments is not null => throw new ArgumentException(
                $"--enable-thinking is set, but --chat-template {ChatTemplate} knows no thoughts. Leave one of the two out."),
            "qwen2.5" => options with { ChatTemplate = new QwenChatTemplate() },
            "chatml" => options with { ChatTemplate = new QwenChatTemplate(defaultSystemMessage: null) },
            _ when File.Exists(ChatTemplate) => options with { ChatTemplate = JinjaChatTemplate.Load(ChatTemplate, arguments) },
            _ => throw new ArgumentException(
                $"--chat-template is '{TerminalText.EscapeLine(ChatTemplate)}' but must be qwen2.5, chatml, or a file with a template."),
        };
    }

    /// <summary>Returns the type that the model computes in, or null for the type of its weights.</summary>
    public ScalarType? ToComputeType() => Bfloat16 ? ScalarType.BFloat16 : null;

    /// <summary>Returns the options of the adapters, or null for none.</summary>
    /// <exception cref="ArgumentException">An alpha is given without a rank.</exception>
    public LoraOptions? ToLora() => (LoraRank, LoraAlpha) switch
    {
        (null, null) => null,
        (null, _) => throw new ArgumentException(
            "--lora-alpha is given without --lora-rank: nothing says that adapters are trained. Give both, or neither."),
        ({ } rank, null) => new LoraOptions { Rank = rank },
        ({ } rank, { } alpha) => new LoraOptions { Rank = rank, Alpha = alpha },
    };
}
