using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.RewardModels;

/// <summary>A reward model for a test as files: a tiny decoder, one output, and the tokenizer of <see cref="TinyTokenizer"/>.</summary>
internal sealed class RewardFolder : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public RewardFolder(string family = "qwen2", ulong seed = 7)
    {
        using CausalLM model = CausalModel(family, seed);
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(seed);
        Score = [.. empty(model.Config.HiddenSize).normal_(0, 1, generator).data<float>()];
        QwenWeights.Save(model, _folder.Path);
        SafetensorsWriter.Write(
            _folder.File("model.safetensors"),
            [
                .. model.named_parameters().Select(named => KeyValuePair.Create(named.name, (Tensor)named.parameter)),
                KeyValuePair.Create("score.weight", tensor(Score, [1, Score.Length])),
            ]);
        _folder.Write("tokenizer.json", TinyTokenizer.TokenizerJson().ToJsonString());
        _folder.Write("chat_template.jinja", Template);
        Configure(json =>
        {
            string name = json["architectures"]![0]!.GetValue<string>();
            json["architectures"] = new JsonArray(name.Replace("ForCausalLM", "ForSequenceClassification", StringComparison.Ordinal));
            json["id2label"] = new JsonObject { ["0"] = "LABEL_0" };
            json["label2id"] = new JsonObject { ["LABEL_0"] = 0 };
            json["pad_token_id"] = TinyTokenizer.EndOfText;
            json["tie_word_embeddings"] = false;
        });
    }

    /// <summary>ChatML as the tokenizer's markers allow it.</summary>
    public const string Template =
        "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

    public string Path => _folder.Path;

    /// <summary>The weight of the output.</summary>
    public float[] Score { get; }

    /// <summary>The language model whose decoder the checkpoint has.</summary>
    public static CausalLM CausalModel(string family = "qwen2", ulong seed = 7) =>
        TinyModels.Uneven(TinyModels.Config(family: family) with { VocabularySize = 264 }, seed);

    public RewardFolder Configure(Action<JsonObject> change)
    {
        string path = _folder.File("config.json");
        JsonObject json = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        change(json);
        File.WriteAllText(path, json.ToJsonString());
        return this;
    }

    public string FileOf(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();
}
