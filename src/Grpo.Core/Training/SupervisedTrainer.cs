using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>Next-token training on given answers: the cold start that a small model needs before reinforcement has anything to reinforce.</summary>
/// <remarks>The loss is on the completion only, its end token included, averaged over all completion tokens of a step.</remarks>
public sealed class SupervisedTrainer
{
    private readonly IPolicy _policy;
    private readonly SupervisedOptions _options;
    private readonly TokenSequence[] _sequences;

    /// <summary>Encodes the examples.</summary>
    /// <param name="policy">The model to train. Borrowed.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="template">Its chat template.</param>
    /// <param name="examples">The data set.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <exception cref="ArgumentException">An option is out of range, there are no examples, or one is longer than <see cref="SupervisedOptions.MaxTokens"/>.</exception>
    public SupervisedTrainer(
        IPolicy policy, ITokenizer tokenizer, IChatTemplate template, IReadOnlyList<SupervisedExample> examples, SupervisedOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(examples);
        _policy = policy;
        _options = (options ?? new SupervisedOptions()) with { };
        if (_options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        if (examples.Count == 0)
        {
            throw new ArgumentException("There are no examples to learn from.", nameof(examples));
        }

        _sequences = [.. examples.Select(example => SupervisedEncoder.Encode(example, tokenizer, template, _options.MaxTokens))];
    }

    /// <summary>Trains step by step; the consumer may stop at any time.</summary>
    /// <param name="cancellationToken">Stops between two micro-batches; the weights are then those before the step.</param>
    public IEnumerable<SupervisedReport> Run(CancellationToken cancellationToken = default)
    {
        using var adam = new AdamW(_policy.TrainedParameters(), new AdamWOptions(WeightDecay: _options.WeightDecay));
        var order = new PromptOrder(_sequences.Length, _options.Seed);
        for (long step = 0; step < _options.Steps; step++)
        {
            TokenSequence[] batch = [.. order.At(step, _options.BatchSize).Select(index => _sequences[index])];
            yield return Step(adam, step, batch, cancellationToken);
        }
    }

    private SupervisedReport Step(AdamW adam, long step, TokenSequence[] batch, CancellationToken cancellationToken)
    {
        long tokens = batch.Sum(sequence => (long)sequence.CompletionIds.Count);
        double loss = 0;
        Device device = _policy.Device();
        adam.ZeroGradients(); // what somebody else's backward left behind is no part of this step
        try
        {
            foreach (int[] members in MicroBatcher.Split(batch, new MicroBatchLimits(_options.MicroBatchSize, _options.MaxTokensPerMicroBatch)))
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = TensorScope.Begin();
                TokenBatch micro = TokenBatchBuilder.Build([.. members.Select(index => batch[index])], padTokenId: 0, device);
                Tensor share = -_policy.LogProbs(micro, temperature: 1).sum() / tokens; // 0 where there is padding
                share.backward();
                loss += share.item<float>();
            }

            double norm = adam.GradientNorm();
            if (!double.IsFinite(norm))
            {
                throw new TrainingDivergedException(FormattableString.Invariant(
                    $"The gradient norm of step {step + 1} is {norm}; the update was not applied. Lower LearningRate ({_options.LearningRate})."));
            }

            double learningRate = LearningRate.At(_options.Schedule, _options.LearningRate, step, _options.WarmupSteps, _options.Steps);
            adam.Apply(learningRate, Math.Min(1, _options.MaxGradientNorm / (norm + 1e-6)));
            return new SupervisedReport(step + 1, loss, norm, learningRate, tokens);
        }
        finally
        {
            adam.ZeroGradients();
        }
    }
}
