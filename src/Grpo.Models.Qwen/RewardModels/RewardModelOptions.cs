using Grpo.Hub;
using Grpo.Modeling;
using Grpo.Models.Qwen.RewardModels;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>The options with which <see cref="RewardModel"/> loads a model and scores texts.</summary>
public sealed record RewardModelOptions
{
    /// <summary>The name of the reward in metrics and errors. In a weighted sum each part needs a name of its own.</summary>
    /// <value>Default RewardModel.</value>
    public string Name { get; init; } = nameof(RewardModel);

    /// <summary>The device of the weights: cpu, cuda or cuda:n.</summary>
    /// <value>Default cpu.</value>
    public string Device { get; init; } = "cpu";

    /// <summary>The type of the weights in memory. With 16 bits they take half the memory of float32.</summary>
    /// <value>Float32, BFloat16 or Float16, or null for the type in which they are stored; default Float32.</value>
    public ScalarType? WeightType { get; init; } = ScalarType.Float32;

    /// <summary>
    /// The type of the hidden states and matrix products. Float32 with 16-bit weights gives the scores of the same weights widened, and
    /// converts them layer by layer. Products in 16 bits are faster on GPUs.
    /// </summary>
    /// <value>Float32 or the type of the weights. Default null: Float32 on a CPU, the type of the weights on a GPU.</value>
    public ScalarType? ComputeType { get; init; }

    /// <summary>
    /// The largest number of tokens per forward pass, including padding. The texts of a group are sorted by length and packed into batches
    /// of this size. A longer text is a batch of its own. It affects memory and speed only, and scores by no more than rounding.
    /// </summary>
    /// <value>1 or more; default 16,384.</value>
    public int MaxTokensPerBatch { get; init; } = 16_384;

    /// <summary>The largest length of a text in tokens: the rendered conversation with the completion.</summary>
    /// <value>1 or more, or null for the longest that the model was trained for (max_position_embeddings); default null.</value>
    public int? MaxTokens { get; init; }

    /// <summary>
    /// True to cut a text that is too long: its beginning is left out, so that the completion and its end stay. Each group with such a text
    /// is logged. False makes it an error.
    /// </summary>
    /// <value>Default false.</value>
    public bool TruncateLongTexts { get; init; }

    /// <summary>The chat template that replaces the checkpoint's own.</summary>
    /// <value>Default null: the checkpoint's own; if it has none, Qwen2.5's, which is logged.</value>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>The logger that receives a warning about an assumed chat template, and about texts that were cut.</summary>
    /// <value>Default null: no warning.</value>
    public ILogger? Logger { get; init; }

    /// <summary>The branch, tag or commit of a hub id.</summary>
    /// <value>Default main.</value>
    public string Revision { get; init; } = "main";

    /// <summary>The receiver of the progress of a download; null for none.</summary>
    public IProgress<HubProgress>? Progress { get; init; }

    /// <summary>Lists a sentence for each value that is out of range.</summary>
    /// <returns>The sentences. The list is empty if all values are valid.</returns>
    public IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        Check(!string.IsNullOrWhiteSpace(Name), $"Name is '{Name}' but must be a text that is not blank.");
        Check(
            WeightType is null || ScoreModel.IsWeightType(WeightType.Value),
            $"WeightType is {WeightType} but must be Float32, BFloat16, Float16 or null.");
        Check(
            ComputeType is null || ScoreModel.IsWeightType(ComputeType.Value),
            $"ComputeType is {ComputeType} but must be Float32, the type of the weights, or null.");
        Check(MaxTokensPerBatch >= 1, $"MaxTokensPerBatch is {MaxTokensPerBatch} but must be 1 or more.");
        Check(MaxTokens is null or >= 1, $"MaxTokens is {MaxTokens} but must be 1 or more, or null for the model's own limit.");
        return problems;

        void Check(bool holds, FormattableString problem)
        {
            if (!holds)
            {
                problems.Add(FormattableString.Invariant(problem));
            }
        }
    }
}
