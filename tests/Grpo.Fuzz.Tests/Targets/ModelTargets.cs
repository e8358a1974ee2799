using System.Text.Json.Nodes;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;

namespace Grpo.Fuzz.Tests;

/// <summary>The readers of a model's folder: configuration, weights, adapter and tokenizer.</summary>
internal static class ModelTargets
{
    private static readonly string[] Probes =
        ["hello he he  hel\n1234", "<|im_start|>user <|im_end|>", "e\u0301\uD800x\u202E\u0000", new('h', 1500)];

    public static IEnumerable<FuzzTarget> All()
    {
        yield return new("config.json", 6,
            [
                new(FuzzPart.Json("config.json", Config().ToJson())), new(FuzzPart.Json("config.json", NewerConfig)),
                new(FuzzPart.Json("config.json", LlamaConfig)),
            ],
            Folder.Reading("config", folder => Assert.Empty(DecoderConfig.Load(folder).Problems())), typeof(InvalidDataException));
        yield return new(
            "model folder", 4, [Model()], Folder.Reading("model", folder => QwenWeights.Load(folder).Dispose()),
            typeof(InvalidDataException));
        yield return new("adapter folder", 4, [Adapter()], Folder.Reading("adapter", ReadAdapter), typeof(InvalidDataException));
        yield return new("tokenizer.json", 6, [Tokenizer()], Folder.Reading("tokenizer", ReadTokenizer), typeof(InvalidDataException));
        yield return new("vocab.json and merges.txt", 6, [Pair()], Folder.Reading("pair", ReadTokenizer), typeof(InvalidDataException));
        QwenTokenizer tokenizer = Load(Tokenizer());
        yield return new(
            "text to tokens", 4, TrainingTargets.Texts("hello, what is 12 + 30?", "<|im_start|>system\nyou<|im_end|>\n", "e\u0301 가 ﷺ"),
            input => RoundTrip(tokenizer, input.Text));
    }

    private static DecoderConfig Config() => new()
    {
        VocabularySize = 16,
        HiddenSize = 8,
        IntermediateSize = 12,
        LayerCount = 1,
        AttentionHeadCount = 2,
        KeyValueHeadCount = 1,
        TieWordEmbeddings = true,
        EosTokenIds = [3],
    };

    private const string NewerConfig =
        """
        {"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2","dtype":"bfloat16","eos_token_id":[1,2],"head_dim":4,
        "hidden_act":"silu","hidden_size":8,"intermediate_size":12,"layer_types":["full_attention"],"max_position_embeddings":64,
        "num_attention_heads":2,"num_hidden_layers":1,"num_key_value_heads":1,"rms_norm_eps":1e-06,
        "rope_parameters":{"rope_type":"default","rope_theta":1000000.0},"rope_scaling":null,"sliding_window":null,
        "use_sliding_window":false,"vocab_size":16,"nested":{"kept":[1,"x"]}}
        """;

    private const string LlamaConfig =
        """
        {"architectures":["LlamaForCausalLM"],"attention_bias":true,"eos_token_id":[1,2],"hidden_act":"silu","hidden_size":8,
        "intermediate_size":12,"max_position_embeddings":64,"mlp_bias":true,"model_type":"llama","num_attention_heads":2,
        "num_hidden_layers":1,"num_key_value_heads":1,"pretraining_tp":1,"rms_norm_eps":1e-05,"rope_theta":500000.0,
        "rope_scaling":{"rope_type":"yarn","factor":8.0,"original_max_position_embeddings":16,"beta_fast":32.0,"beta_slow":1.0,
        "attention_factor":1.2,"truncate":false},"torch_dtype":"bfloat16","vocab_size":16}
        """;

    private static FuzzInput Model() => Folder.Written(folder =>
    {
        using CausalLM model = CausalLM.Initialize(Config(), 7);
        QwenWeights.Save(model, folder);
    });

    private static FuzzInput Adapter() => Folder.Written(folder =>
    {
        using CausalLM model = CausalLM.Initialize(Config(), 7);
        model.AddAdapter(new LoraOptions { Rank = 2, Alpha = 4, Dropout = 0.1 });
        LoraAdapterFiles.Save(model, folder);
    });

    private static void ReadAdapter(string folder)
    {
        using CausalLM model = CausalLM.Initialize(Config(), 7);
        LoraAdapterFiles.AddTo(model, folder);
    }

    private static JsonObject Vocabulary()
    {
        var vocabulary = new JsonObject();
        foreach (byte value in ByteAlphabet.BytesByCharacter)
        {
            vocabulary.Add(ByteAlphabet.ToChar(value).ToString(), vocabulary.Count);
        }

        vocabulary.Add("he", 256);
        vocabulary.Add("hel", 257);
        return vocabulary;
    }

    private static JsonObject Added(int id, string content, bool special = true) =>
        new() { ["id"] = id, ["content"] = content, ["lstrip"] = false, ["special"] = special };

    private static FuzzInput Tokenizer() => new(
        FuzzPart.Json("tokenizer.json", new JsonObject
        {
            ["added_tokens"] = new JsonArray(
                Added(258, "<|endoftext|>"), Added(259, "<|im_start|>"), Added(260, "<|im_end|>"), Added(261, "<think>", special: false)),
            ["normalizer"] = new JsonObject { ["type"] = "NFC" },
            ["pre_tokenizer"] = new JsonObject
            {
                ["type"] = "Sequence",
                ["pretokenizers"] = new JsonArray(
                    new JsonObject
                    {
                        ["type"] = "Split",
                        ["pattern"] = new JsonObject { ["Regex"] = Qwen2PreTokenizer.Pattern },
                        ["behavior"] = "Isolated",
                        ["invert"] = false,
                    },
                    new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = false }),
            },
            ["post_processor"] = new JsonObject { ["type"] = "ByteLevel" },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["continuing_subword_prefix"] = "",
                ["byte_fallback"] = false,
                ["vocab"] = Vocabulary(),
                ["merges"] = new JsonArray("h e", new JsonArray("he", "l")),
            },
        }.ToJsonString()),
        FuzzPart.Json("generation_config.json", """{"eos_token_id":[260,258],"pad_token_id":258}"""),
        FuzzPart.Json(
            "tokenizer_config.json",
            """{"added_tokens_decoder":{"258":{"content":"<|endoftext|>","special":true}},"""
            + "\"eos_token\":\"<|im_end|>\",\"pad_token\":{\"content\":\"<|endoftext|>\"}}"));

    private static FuzzInput Pair() => new(
        FuzzPart.Json("vocab.json", Vocabulary().ToJsonString()),
        FuzzPart.Json("merges.txt", "#version: 0.2\nh e\nhe l\n"),
        FuzzPart.Json("added_tokens.json", """{"<|endoftext|>":258,"<|im_start|>":259,"<|im_end|>":260}"""),
        FuzzPart.Json("special_tokens_map.json", """{"eos_token":"<|im_end|>","additional_special_tokens":["<|im_start|>"]}"""),
        FuzzPart.Json("config.json", """{"eos_token_id":260,"model_type":"qwen2"}"""));

    private static QwenTokenizer Load(FuzzInput input)
    {
        string folder = Folder.Of("text");
        input.WriteTo(folder);
        return QwenTokenizer.Load(folder);
    }

    private static void ReadTokenizer(string folder)
    {
        QwenTokenizer tokenizer = QwenTokenizer.Load(folder);
        Assert.All(tokenizer.EndTokenIds.Append(tokenizer.PadTokenId), id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
        Assert.All(Probes, text => RoundTrip(tokenizer, text));
    }

    private static void RoundTrip(QwenTokenizer tokenizer, string text)
    {
        foreach (IReadOnlyList<int> ids in new[] { tokenizer.Encode(text), tokenizer.EncodeUntrusted(text) })
        {
            Assert.All(ids, id => Assert.InRange(id, 0, tokenizer.VocabularySize - 1));
            tokenizer.Decode(ids);
            tokenizer.Decode(ids, skipSpecialTokens: false);
        }
    }
}
