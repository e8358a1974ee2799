using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tensors;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.RewardModels;

/// <summary>A decoder with a linear layer that gives one number per text. Its parameters have Hugging Face's names.</summary>
/// <remarks>The weights are frozen, and no pass records gradients.</remarks>
internal sealed class ScoreModel : nn.Module
{
    /// <summary>The name of the weight that turns a hidden state into a score.</summary>
    internal const string Score = "score.weight";

    private readonly DecoderConfig _config;
    private readonly ScalarType _computeType;

    [ComponentName(Name = "model")] private readonly Decoder _model;
    [ComponentName(Name = "score")] private readonly Projection _score;

    private ScoreModel(DecoderConfig config, ParameterPlacement placement, ScalarType computeType)
        : base(nameof(ScoreModel))
    {
        _config = config;
        _computeType = computeType;
        _model = new Decoder(config, placement);
        _score = new Projection(config.HiddenSize, 1, hasBias: false, placement);
        RegisterComponents();
    }

    /// <summary>The device of the weights.</summary>
    internal Device Device => _score.Weight.device;

    /// <summary>The type of the weights.</summary>
    internal ScalarType WeightType => _score.Weight.dtype;

    /// <summary>The type of the hidden states and matrix products.</summary>
    internal ScalarType ComputeType => _computeType;

    /// <summary>True if weights can have the type.</summary>
    internal static bool IsWeightType(ScalarType type) => type is ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16;

    /// <summary>Loads the model of a checkpoint folder.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <param name="config">The configuration of the decoder.</param>
    /// <param name="device">The device of the weights.</param>
    /// <param name="type">The type of the weights in memory.</param>
    /// <param name="computeType">The type of the hidden states and matrix products.</param>
    /// <exception cref="FileNotFoundException">The weights are missing.</exception>
    /// <exception cref="InvalidDataException">A file is damaged, or names or shapes do not fit; the message lists all of them.</exception>
    internal static ScoreModel Load(string directory, DecoderConfig config, Device device, ScalarType type, ScalarType computeType)
    {
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(directory);
        var match = new CheckpointMatch(checkpoint.Entries);
        // Without an output layer: a reward model has none, whatever tie_word_embeddings says.
        foreach ((string name, long[] shape) in DecoderParameters.List(config with { TieWordEmbeddings = true }))
        {
            match.Require(name, shape);
        }

        match.Require(Score, [1, config.HiddenSize]);
        match.ThrowIfAny($"The weights in '{directory}' are not those of a reward model with one label.", DecoderParameters.IsRedundant);
        TorchBackend.EnsureAvailable();
        var model = new ScoreModel(config, new ParameterPlacement(device, type), computeType);
        try
        {
            using var scope = TensorScope.BeginNoGrad();
            foreach ((string name, Parameter parameter) in model.named_parameters())
            {
                checkpoint.ReadInto(name, parameter);
                parameter.requires_grad_(false); // returns a second handle
            }

            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Returns the weights with their names. The model owns them.</summary>
    internal IEnumerable<(string Name, Tensor Weight)> Weights() =>
        named_parameters().Select(named => (named.name, (Tensor)named.parameter));

    /// <summary>Computes the scores of a batch of texts, each at one of its positions.</summary>
    /// <param name="tokenIds">The token ids, [B, T] int64. Borrowed.</param>
    /// <param name="attentionMask">
    /// The mask, [B, T], non-zero for a real token; null if no padding comes before a real token. Borrowed.
    /// </param>
    /// <param name="positions">The position of each row's score, below T.</param>
    /// <returns>The scores: score.weight · h, with h after the final norm, summed in float32.</returns>
    internal float[] Scores(Tensor tokenIds, Tensor? attentionMask, IReadOnlyList<int> positions)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = _model.call(tokenIds, AttentionContext.ForSequences(tokenIds, attentionMask, _config, _computeType)); // [B, T, H]
        Tensor rows = arange(positions.Count, ScalarType.Int64, tokenIds.device);
        Tensor columns = DeviceTransfer.ToDevice([.. positions.Select(position => (long)position)], tokenIds.device);
        Tensor read = hidden.index(TensorIndex.Tensor(rows), TensorIndex.Tensor(columns)).to(ScalarType.Float32);             // [B, H]
        Tensor scores = nn.functional.linear(read, _score.Weight.In(ScalarType.Float32));                                     // [B, 1]
        return DeviceTransfer.ToArray<float>(scores);
    }

    /// <summary>
    /// Returns the position at which a text is scored: its rightmost token whose id is not the pad id, wherever padding is; 0 if all are.
    /// </summary>
    /// <remarks>
    /// The rule of transformers 5, which looks at ids alone. So the score of a text that ends with the pad id is read before it. Without a
    /// pad id every token counts.
    /// </remarks>
    /// <param name="tokenIds">The ids of the text, with or without padding.</param>
    /// <param name="padTokenId">The pad id; null if the model has none.</param>
    internal static int PositionOf(IReadOnlyList<int> tokenIds, int? padTokenId)
    {
        for (int i = tokenIds.Count - 1; i > 0; i--)
        {
            if (tokenIds[i] != padTokenId)
            {
                return i;
            }
        }

        return 0;
    }
}
