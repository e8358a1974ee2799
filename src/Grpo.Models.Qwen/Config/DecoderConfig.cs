using System.Globalization;
using System.Text.Json;

namespace Grpo.Models.Qwen.Config;

/// <summary>The configuration of a decoder: its family, its sizes, parts and constants, as in <c>config.json</c>.</summary>
/// <remarks>
/// The families are Qwen2, Qwen3 (dense) and Llama. Attention is full and the activation SiLU. Loading refuses a file that asks for
/// sliding windows, an unknown scaling of the angles or quantized weights.
/// </remarks>
public sealed record DecoderConfig
{
    private readonly int? _headWidth;
    private readonly bool? _queryKeyValueBias;
    private readonly bool? _queryKeyNorm;

    /// <summary>The family of the model (<c>model_type</c>).</summary>
    /// <value>"qwen2", "qwen3" or "llama"; default "qwen2".</value>
    public string ModelType { get; init; } = ModelFamily.All[0].ModelType;

    /// <summary>The number of rows of the token embedding, V (<c>vocab_size</c>).</summary>
    /// <value>1 to 4,194,304.</value>
    public required int VocabularySize { get; init; }

    /// <summary>The width of the residual stream, H (<c>hidden_size</c>).</summary>
    /// <value>2 to 65,536.</value>
    public required int HiddenSize { get; init; }

    /// <summary>The inner width of the feed-forward layer (<c>intermediate_size</c>).</summary>
    /// <value>1 to 1,048,576.</value>
    public required int IntermediateSize { get; init; }

    /// <summary>The number of decoder layers, L (<c>num_hidden_layers</c>).</summary>
    /// <value>1 to 1,024.</value>
    public required int LayerCount { get; init; }

    /// <summary>The number of query heads, A (<c>num_attention_heads</c>).</summary>
    /// <value>1 to 1,024.</value>
    public required int AttentionHeadCount { get; init; }

    /// <summary>The number of key/value heads, K (<c>num_key_value_heads</c>). Query head h reads key/value head h / (A / K).</summary>
    /// <value>A divisor of <see cref="AttentionHeadCount"/>.</value>
    public required int KeyValueHeadCount { get; init; }

    /// <summary>The width of one attention head, D (<c>head_dim</c>).</summary>
    /// <value>Even, 2 to 1,024; default <see cref="HiddenSize"/> / <see cref="AttentionHeadCount"/>.</value>
    public int HeadWidth
    {
        get => _headWidth ?? (HiddenSize / Math.Max(1, AttentionHeadCount));
        init => _headWidth = value;
    }

    /// <summary>True if the projections of queries, keys and values have biases.</summary>
    /// <value>Default true in Qwen2, which needs it, and else false (<c>attention_bias</c>).</value>
    public bool QueryKeyValueBias
    {
        get => _queryKeyValueBias ?? Family?.AlwaysHasBiases == true;
        init => _queryKeyValueBias = value;
    }

    /// <summary>True if the output projection of the attention has a bias.</summary>
    /// <value>Default false, as in Qwen2; else the same as <see cref="QueryKeyValueBias"/> (<c>attention_bias</c>).</value>
    public bool OutputBias { get; init; }

    /// <summary>True if every head of queries and keys passes an RMSNorm of its own before the rotation.</summary>
    /// <value>Default true in Qwen3, which needs it, and else false.</value>
    public bool QueryKeyNorm
    {
        get => _queryKeyNorm ?? Family?.HasQueryKeyNorm == true;
        init => _queryKeyNorm = value;
    }

    /// <summary>True if the projections of the feed-forward layer have biases (<c>mlp_bias</c>). Only Llama has the choice.</summary>
    /// <value>Default false.</value>
    public bool MlpBias { get; init; }

    /// <summary>True if the head width was given explicitly and does not follow from the other sizes.</summary>
    internal bool HasOwnHeadWidth => _headWidth is not null;

    /// <summary>
    /// The longest sequence that the model was trained for (<c>max_position_embeddings</c>). It is not enforced, because RoPE
    /// has no table that ends.
    /// </summary>
    /// <value>1 to 16,777,216; default 32,768.</value>
    public int MaxPositions { get; init; } = 32_768;

    /// <summary>The constant ε that RMSNorm adds to the mean square (<c>rms_norm_eps</c>).</summary>
    /// <value>Above 0, to 1; default 1e-6.</value>
    public double RmsNormEpsilon { get; init; } = 1e-6;

    /// <summary>The base θ of the rotary angles (<c>rope_theta</c>).</summary>
    /// <value>Above 1, to 1e12; default 10,000.</value>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>The scaling of the rotary angles (<c>rope_scaling</c>); null if they are unscaled.</summary>
    /// <value>Default null.</value>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>True if the output layer uses the weight of the token embedding (<c>tie_word_embeddings</c>).</summary>
    /// <value>Default false.</value>
    public bool TieWordEmbeddings { get; init; }

    /// <summary>The standard deviation of newly initialized weights (<c>initializer_range</c>).</summary>
    /// <value>Above 0, to 1; default 0.02.</value>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>The token ids that end a text (<c>eos_token_id</c>, one number or a list).</summary>
    /// <value>Default empty.</value>
    public IReadOnlyList<int> EosTokenIds { get; init; } = [];

    /// <summary>
    /// The type of the weights in the checkpoint (<c>torch_dtype</c>). The model computes in float32 unless asked otherwise.
    /// </summary>
    /// <value>"float32", "float16" or "bfloat16"; default "float32".</value>
    public string StoredType { get; init; } = "float32";

    /// <summary>The fields of the file that this library does not use. <see cref="ToJson"/> writes them back.</summary>
    public IReadOnlyDictionary<string, JsonElement> OtherFields { get; init; } = new Dictionary<string, JsonElement>();

    /// <summary>The family of <see cref="ModelType"/>; null if it is not known.</summary>
    internal ModelFamily? Family => ModelFamily.Find(ModelType);

    /// <summary>Reads the <c>config.json</c> of a checkpoint.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="FileNotFoundException">The folder has no <c>config.json</c>.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is not the configuration of a supported model; the message lists every problem.
    /// </exception>
    public static DecoderConfig Load(string directory) => DecoderConfigFile.Load(directory);

    /// <summary>Reads the text of a <c>config.json</c>.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">The name of the text in error messages.</param>
    /// <exception cref="InvalidDataException">
    /// The text is not the configuration of a supported model; the message lists every problem.
    /// </exception>
    public static DecoderConfig Parse(string json, string source = "config.json") => DecoderConfigFile.Parse(json, source);

    /// <summary>Returns the text of a <c>config.json</c> that transformers reads, with the fields in alphabetical order.</summary>
    /// <remarks>A local folder in <c>_name_or_path</c> is left out: it names a machine and not a model.</remarks>
    public string ToJson() => DecoderConfigWriter.Write(this);

    /// <summary>Returns a sentence for each size that is out of range or contradicts another; empty if the model can be built.</summary>
    internal List<string> Problems()
    {
        var problems = new List<string>();
        Check("vocab_size", VocabularySize, 1, 4_194_304);
        Check("hidden_size", HiddenSize, 2, 65_536);
        Check("intermediate_size", IntermediateSize, 1, 1_048_576);
        Check("num_hidden_layers", LayerCount, 1, 1_024);
        Check("num_attention_heads", AttentionHeadCount, 1, 1_024);
        Check("num_key_value_heads", KeyValueHeadCount, 1, 1_024);
        Check("max_position_embeddings", MaxPositions, 1, 16_777_216);
        CheckAbove("rms_norm_eps", RmsNormEpsilon, 0, 1);
        CheckAbove("rope_theta", RopeTheta, 1, 1e12);
        CheckAbove("initializer_range", InitializerRange, 0, 1);
        if (problems.Count > 0)
        {
            return problems;
        }

        if (_headWidth is null && HiddenSize % AttentionHeadCount != 0)
        {
            problems.Add(
                $"hidden_size {HiddenSize} is not divisible by num_attention_heads {AttentionHeadCount}, and there is no head_dim.");
        }
        else
        {
            Check("head_dim", HeadWidth, 2, 1_024);
            if (HeadWidth % 2 != 0)
            {
                problems.Add($"head_dim is {HeadWidth} but RoPE rotates pairs, so it must be even.");
            }
        }

        if (AttentionHeadCount % KeyValueHeadCount != 0)
        {
            problems.Add($"num_attention_heads {AttentionHeadCount} is not divisible by num_key_value_heads {KeyValueHeadCount}.");
        }

        problems.AddRange(ProblemsOfParts());
        problems.AddRange(RopeScaling?.Problems() ?? []);
        if (StoredType is not ("float32" or "float16" or "bfloat16"))
        {
            problems.Add($"torch_dtype is \"{StoredType}\" but must be float32, float16 or bfloat16.");
        }

        return problems;

        void Check(string field, int value, int minimum, int maximum)
        {
            if (value < minimum || value > maximum)
            {
                problems.Add($"{field} is {value} but must be {minimum} to {maximum}.");
            }
        }

        void CheckAbove(string field, double value, double bound, double maximum)
        {
            // NaN fails this form of the condition.
            if (!(value > bound && value <= maximum))
            {
                problems.Add(string.Create(
                    CultureInfo.InvariantCulture, $"{field} is {value:R} but must be above {bound} and at most {maximum}."));
            }
        }
    }

    // A file can only say what its family allows. Other parts would be saved as another model.
    private IEnumerable<string> ProblemsOfParts()
    {
        if (Family is not { } family)
        {
            string known = string.Join(", ", ModelFamily.All.Select(one => one.ModelType));
            yield return $"model_type is \"{ModelType}\" but must be one of {known}.";
            yield break;
        }

        bool outputBias = !family.AlwaysHasBiases && QueryKeyValueBias;
        if (family.AlwaysHasBiases && !QueryKeyValueBias)
        {
            yield return $"Queries, keys and values have no biases, but those of {family.Name} have.";
        }
        else if (OutputBias != outputBias)
        {
            yield return $"The output projection has {(OutputBias ? "a" : "no")} bias, but in {family.Name} with the same queries, keys "
                + $"and values it has {(outputBias ? "one" : "none")}.";
        }

        if (QueryKeyNorm != family.HasQueryKeyNorm)
        {
            yield return $"Queries and keys are {(QueryKeyNorm ? "" : "not ")}normalized, but in {family.Name} they are"
                + $"{(family.HasQueryKeyNorm ? "" : " not")}.";
        }

        if (MlpBias && !family.HasMlpBiasField)
        {
            yield return $"The feed-forward layer has biases, but in {family.Name} it has none.";
        }
    }

    /// <summary>Describes the first field that makes the weights of the two models incompatible; null if there is none.</summary>
    internal string? DifferenceFrom(DecoderConfig other)
    {
        foreach (((string field, object mine, _), (_, object theirs, _)) in AllMathematics().Zip(other.AllMathematics()))
        {
            if (!mine.Equals(theirs))
            {
                return string.Create(CultureInfo.InvariantCulture, $"{field} is {theirs} but the model has {mine}");
            }
        }

        return null;
    }

    /// <summary>
    /// Returns the fields that decide what the model computes from its weights. Parts that came later are left out where they are as in
    /// the first models, so that the identity of an older checkpoint stays the same.
    /// </summary>
    internal IReadOnlyList<(string Field, object Value)> Mathematics() =>
        [.. AllMathematics().Where(entry => !entry.Value.Equals(entry.LeftOut)).Select(entry => (entry.Field, entry.Value))];

    private IReadOnlyList<(string Field, object Value, object? LeftOut)> AllMathematics() =>
    [
        ("model_type", ModelType, ModelFamily.All[0].ModelType),
        ("vocab_size", VocabularySize, null),
        ("hidden_size", HiddenSize, null),
        ("intermediate_size", IntermediateSize, null),
        ("num_hidden_layers", LayerCount, null),
        ("num_attention_heads", AttentionHeadCount, null),
        ("num_key_value_heads", KeyValueHeadCount, null),
        ("head_dim", HeadWidth, null),
        ("rms_norm_eps", RmsNormEpsilon, null),
        ("rope_theta", RopeTheta, null),
        ("rope_scaling", RopeScaling is null ? "none" : ScalingMathematics(RopeScaling), "none"),
        ("attention_bias", QueryKeyValueBias, true),
        ("mlp_bias", MlpBias, false),
        ("tie_word_embeddings", TieWordEmbeddings, null),
    ];

    // YaRN without a length of its own takes that of the model.
    private string ScalingMathematics(RopeScaling scaling) => scaling is { Kind: RopeScalingKind.Yarn, OriginalMaxPositions: null }
        ? (scaling with { OriginalMaxPositions = MaxPositions }).Describe()
        : scaling.Describe();
}
