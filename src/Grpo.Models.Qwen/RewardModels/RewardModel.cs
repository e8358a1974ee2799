using Grpo.IO;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Policy;
using Grpo.Models.Qwen.Pretrained;
using Grpo.Models.Qwen.RewardModels;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// A reward function that is a model: a decoder with one output per text, as in Qwen2ForSequenceClassification and
/// Qwen3ForSequenceClassification with one label.
/// </summary>
/// <remarks>
/// <para>
/// It scores the conversation of the prompt with the completion as the assistant's answer, in the reward model's own chat template and
/// without a generation prompt. The score is the reward: any number, without a scale. It is read at the rightmost token whose id is not
/// pad_token_id, as in transformers 5.
/// </para>
/// <para>
/// A group is scored in batches of similar length (<see cref="RewardModelOptions.MaxTokensPerBatch"/>), equal texts once. Calls from
/// several threads run one after the other. A call blocks its thread, which in a run is a thread of the rewards.
/// </para>
/// </remarks>
public sealed class RewardModel : IRewardFunction, IHasIdentity, IDisposable
{
    private readonly Lock _gate = new();
    private readonly ScoreModel _model;
    private readonly RewardModelConfig _config;
    private readonly RewardModelOptions _options;
    private readonly ScoredTexts _texts;
    private readonly TextScorer _scorer;
    private readonly int _maxTokens;
    private string? _weights;
    private bool _isDisposed;

    private RewardModel(
        ScoreModel model, RewardModelConfig config, RewardModelOptions options, QwenTokenizer tokenizer, IChatTemplate template)
    {
        _model = model;
        _config = config;
        _options = options;
        _texts = new ScoredTexts(tokenizer, template);
        _scorer = new TextScorer(model, config.PadTokenId, options.MaxTokensPerBatch);
        _maxTokens = options.MaxTokens ?? config.Decoder.MaxPositions;
        Tokenizer = tokenizer;
        ChatTemplate = template;
    }

    /// <inheritdoc/>
    public string Name => _options.Name;

    /// <summary>The tokenizer of the reward model.</summary>
    public QwenTokenizer Tokenizer { get; }

    /// <summary>The chat template that renders the conversations.</summary>
    public IChatTemplate ChatTemplate { get; }

    /// <inheritdoc/>
    /// <remarks>The weights are read once, in about a second for 0.5 billion float32 weights.</remarks>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    public PlugInIdentity Identity
    {
        get
        {
            string weights;
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_isDisposed, this);
                weights = _weights ??= TensorThread.Run(() => WeightHash.Describe(_model.Weights()));
            }

            return new PlugInIdentity("reward model")
                .WithConfig(_config.Decoder)
                .With("pad token", _config.PadTokenId)
                .With("weights", weights)
                .With("weight type", _model.WeightType)
                .With("compute type", _model.ComputeType)
                .WithPart("tokenizer", Tokenizer)
                .WithPart("template", ChatTemplate)
                .With("longest text", _maxTokens)
                .With("cuts long texts", _options.TruncateLongTexts.ToString())
                .With("name", Name);
        }
    }

    /// <summary>Loads a reward model from a folder or the hub, and blocks until it is loaded.</summary>
    /// <inheritdoc cref="LoadAsync"/>
    public static RewardModel Load(string folderOrHubId, RewardModelOptions? options = null) =>
        LoadAsync(folderOrHubId, options).GetAwaiter().GetResult();

    /// <summary>
    /// Loads a reward model from a folder or the hub. Files from the hub are first downloaded into the cache of Python's huggingface_hub.
    /// </summary>
    /// <param name="folderOrHubId">An existing folder, or an id such as Skywork/Skywork-Reward-V2-Qwen3-0.6B.</param>
    /// <param name="options">The options. Null means the defaults.</param>
    /// <param name="cancellationToken">Cancels the download. The next call continues it.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message lists all of them.</exception>
    /// <exception cref="DirectoryNotFoundException">The text is neither a folder nor a hub id.</exception>
    /// <exception cref="FileNotFoundException">The folder lacks config.json, the weights or the tokenizer.</exception>
    /// <exception cref="InvalidDataException">
    /// A file is damaged or of another kind of model, or the model has more than one label; the message lists what does not fit. Or the
    /// chat template is unknown, or one of its markers is not a token of the vocabulary.
    /// </exception>
    /// <exception cref="InvalidOperationException">The weights do not fit into the memory of their device.</exception>
    public static async Task<RewardModel> LoadAsync(
        string folderOrHubId, RewardModelOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folderOrHubId);
        options ??= new RewardModelOptions();
        if (options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        Device device = TorchBackend.ParseDevice(options.Device);
        string directory = await new PretrainedSource(folderOrHubId, options.Revision, Adapter: null)
            .ResolveAsync(options.Progress, cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();

        TokenizerFiles files = TokenizerFiles.Read(directory);
        var template = CheckpointTemplate.Choose(options.ChatTemplate, arguments: null, files, adapter: null);
        QwenTokenizer tokenizer = template.Fit(QwenTokenizer.Create(files));
        RewardModelConfig config = RewardModelConfig.Load(directory);
        QwenPretrained.RequireRoom(config.Decoder, tokenizer, directory);
        ScalarType type = options.WeightType ?? QwenWeights.StoredType(config.Decoder);
        ScalarType computeType = options.ComputeType ?? (device.type == DeviceType.CPU ? ScalarType.Float32 : type);
        if (computeType != type && computeType != ScalarType.Float32)
        {
            throw new ArgumentException(
                $"ComputeType is {computeType} but must be Float32 or {type}, as the weights are in memory.", nameof(options));
        }

        ScoreModel model = AllocationErrors.Explain(
            () => ScoreModel.Load(directory, config.Decoder, device, type, computeType),
            $"The weights of the reward model in '{directory}' do not fit into the memory of {device}. Take a device with more memory, a "
            + $"smaller model, or 16-bit weights ({nameof(RewardModelOptions.WeightType)}).");
        if (template.IsAssumed)
        {
            options.Logger?.NoChatTemplateOfReward(folderOrHubId, QwenChatTemplate.QwenSystemMessage);
        }

        return new RewardModel(model, config, options, tokenizer, template.Template);
    }

    /// <inheritdoc/>
    /// <exception cref="ObjectDisposedException">The model was disposed.</exception>
    /// <exception cref="RewardException">
    /// A text is longer than <see cref="RewardModelOptions.MaxTokens"/>, and <see cref="RewardModelOptions.TruncateLongTexts"/> is false.
    /// </exception>
    /// <exception cref="NotSupportedException">The chat template cannot render a message.</exception>
    /// <exception cref="InvalidOperationException">A batch does not fit into the memory of the device.</exception>
    public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(group);
        // Equal texts are scored once: in different batches they could differ by rounding, which an advantage would take for a difference.
        string[] distinct = [.. group.Completions.Select(completion => completion.Text).Distinct(StringComparer.Ordinal)];
        float[] scores;
        lock (_gate) // one group at a time: memory does not depend on their number, and a template need not be thread-safe
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            IReadOnlyList<int>[] ids = Encode(group, distinct);
            scores = TensorThread.Run(() => _scorer.Score(ids, cancellationToken)); // numbers: no tensor leaves the thread
        }

        Dictionary<string, float> byText = distinct.Zip(scores).ToDictionary(StringComparer.Ordinal);
        return ValueTask.FromResult<IReadOnlyList<Reward>>(
            [.. group.Completions.Select(completion => new Reward(byText[completion.Text]))]);
    }

    /// <summary>Frees the weights, after a call that is still scoring.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (!_isDisposed)
            {
                _isDisposed = true;
                _model.Dispose();
            }
        }
    }

    private IReadOnlyList<int>[] Encode(RolloutGroup group, string[] texts)
    {
        var ids = new IReadOnlyList<int>[texts.Length];
        int cut = 0;
        for (int i = 0; i < texts.Length; i++)
        {
            ids[i] = _texts.Encode(group.Prompt, texts[i]);
            if (ids[i].Count == 0)
            {
                throw Refuse(texts[i], "got a text without tokens, which has no score,");
            }

            if (ids[i].Count > _maxTokens)
            {
                ids[i] = _options.TruncateLongTexts ? [.. ids[i].Skip(ids[i].Count - _maxTokens)] : throw Refuse(
                    texts[i],
                    FormattableString.Invariant($"got a text of {ids[i].Count} tokens, but at most {_maxTokens} are scored (raise ")
                    + $"{nameof(RewardModelOptions.MaxTokens)}, or set {nameof(RewardModelOptions.TruncateLongTexts)} to leave out the "
                    + "beginning),");
                cut++;
            }
        }

        if (cut > 0)
        {
            _options.Logger?.TextsCut(Name, cut, TerminalText.EscapeLine(group.Prompt.Id), _maxTokens);
        }

        return ids;

        RewardException Refuse(string text, string problem) => new(
            Name, group.Prompt.Id, group.Completions.TakeWhile(completion => completion.Text != text).Count(), problem);
    }
}
