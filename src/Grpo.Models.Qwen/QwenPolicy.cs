using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>A Qwen2 model as the policy that is trained.</summary>
public sealed class QwenPolicy : IPolicy, IDisposable
{
    private readonly Action<string>? _saveCompanions;

    /// <summary>Wraps a model.</summary>
    /// <param name="model">The model. The policy owns it from now on.</param>
    /// <param name="saveCompanions">
    /// Called by <see cref="Save"/> with the folder, after the weights are written: adds what else loading needs, such as the
    /// tokenizer's files.
    /// </param>
    public QwenPolicy(Qwen2ForCausalLM model, Action<string>? saveCompanions = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        _saveCompanions = saveCompanions;
    }

    /// <summary>The model.</summary>
    public Qwen2ForCausalLM Model { get; }

    /// <inheritdoc/>
    public nn.Module Module => Model;

    /// <inheritdoc/>
    public bool SharesPrompts => true;

    /// <inheritdoc/>
    public Tensor LogProbs(TokenBatch batch, double temperature) => CompletionLogProbs.Compute(Model, batch, temperature);

    /// <inheritdoc/>
    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature) => CompletionLogProbs.ComputeWithEntropies(Model, batch, temperature);

    /// <inheritdoc/>
    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        new Qwen2DecodingSession(Model, prompts, groupSize, maxNewTokens);

    /// <summary>
    /// Writes <c>config.json</c>, <c>model.safetensors</c> (in the type of the weights) and the companions into an existing folder.
    /// </summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public void Save(string directory)
    {
        QwenWeights.Save(Model, directory, Model.WeightType);
        _saveCompanions?.Invoke(directory);
    }

    /// <summary>Replaces the weights in place by those of a checkpoint; an optimizer that holds the parameters stays valid.</summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is of a model of another shape, or damaged. When the configuration, a name or a shape is wrong, no weight has
    /// changed.
    /// </exception>
    public void Load(string directory) => QwenWeights.LoadInto(Model, directory);

    /// <summary>Frees the model.</summary>
    public void Dispose() => Model.Dispose();
}
