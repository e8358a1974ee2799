using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>The identity of a tokenizer and of a model: equal for equal ones, however they came to be.</summary>
public sealed class IdentityTests
{
    private const string Configuration = """
        {"added_tokens_decoder": {"258": {"content": "<|endoftext|>", "special": true}, "259": {"content": "<|im_start|>", "special": true},
          "260": {"content": "<|im_end|>", "special": true}, "261": {"content": "<think>", "special": false}},
         "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
        """;

    [Fact]
    public void A_tokenizer_in_another_layout_of_files_is_the_same()
    {
        using var folder = new TemporaryFolder();
        TinyTokenizer.WritePair(folder);
        folder.Write("tokenizer_config.json", Configuration);
        IReadOnlyList<KeyValuePair<string, string>> facts = TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Identity.Facts;

        Assert.Equal(facts, QwenTokenizer.Load(folder.Path).Identity.Facts);
        Assert.Equal(
            ["added tokens: 258, 259, 260, 261", "special tokens: 258, 259, 260", "end tokens: 258, 260", "pad token: 258"],
            facts.Where(fact => fact.Key.Contains("token", StringComparison.Ordinal)).Select(fact => $"{fact.Key}: {fact.Value}"));
    }

    public static TheoryData<string, string> Changes => new()
    {
        { "text of a token", "vocabulary" },
        { "order of merges", "merges" },
        { "text of an added token", "vocabulary" },
        { "special", "special tokens" },
        { "end", "end tokens" },
        { "padding", "pad token" },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public void A_tokenizer_with_one_difference_is_another(string change, string fact)
    {
        JsonObject json = TinyTokenizer.TokenizerJson();
        JsonNode added = json["added_tokens"]!, vocabulary = json["model"]!["vocab"]!;
        (string Name, string Content)[] others = [];
        switch (change)
        {
            case "text of a token":
                vocabulary.AsObject().Remove("hel");
                vocabulary["hee"] = 257;
                json["model"]!["merges"] = new JsonArray("h e", "he e");
                break;
            case "order of merges":
                vocabulary.AsObject().Remove("hel");
                vocabulary["el"] = 257;
                json["model"]!["merges"] = new JsonArray("e l", "h e");
                break;
            case "text of an added token":
                added[3]!["content"] = "<thought>";
                break;
            case "special":
                added[3]!["special"] = true;
                break;
            case "end":
                others = [("generation_config.json", """{"eos_token_id": 259}""")];
                break;
            default:
                others = [("tokenizer_config.json", """{"pad_token": "<|im_start|>", "eos_token": "<|im_end|>"}""")];
                break;
        }

        Dictionary<string, string> before = new(TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Identity.Facts);
        Dictionary<string, string> after = new(TinyTokenizer.Load(json, others).Identity.Facts);
        Assert.NotEqual(before[fact], after[fact]);
    }

    private static readonly LoraOptions Lora = new() { Rank = 2, Alpha = 4 };

    // The weights of a model come from its seed and its sizes alone, so that each of these changes one fact.
    public static TheoryData<string, DecoderConfig, LoraOptions> ChangesOfModels => new()
    {
        { "config.rms_norm_eps", TinyModels.Config() with { RmsNormEpsilon = 1e-5 }, Lora },
        { "config.rope_theta", TinyModels.Config() with { RopeTheta = 1e4 }, Lora },
        { "lora.alpha", TinyModels.Config(), Lora with { Alpha = 8 } },
        { "lora.dropout", TinyModels.Config(), Lora with { Dropout = 0.5 } },
        { "lora.rank", TinyModels.Config(), Lora with { Rank = 3 } },
        { "lora.rank-stabilized scale", TinyModels.Config(), Lora with { UseRankStabilizedScale = true } },
        { "lora.seed", TinyModels.Config(), Lora with { Seed = 1 } },
        { "lora.target modules", TinyModels.Config(), Lora with { TargetModules = ["q_proj"] } },
    };

    [Theory]
    [MemberData(nameof(ChangesOfModels))]
    public void A_model_with_one_difference_is_another(string fact, DecoderConfig config, LoraOptions lora)
    {
        using QwenPolicy one = new(TinyModels.Create()), other = new(CausalLM.Initialize(config, seed: 7));
        one.Model.AddAdapter(Lora);
        other.Model.AddAdapter(lora);
        Assert.Equal([fact], one.Identity.Facts.Except(other.Identity.Facts).Select(entry => entry.Key));
        Assert.Equal([fact], other.Identity.Facts.Except(one.Identity.Facts).Select(entry => entry.Key));
    }

    // A part that Qwen2 does not have is a fact only where it is present, so that older checkpoints keep their identity.
    [Fact]
    public void A_model_with_a_part_of_its_own_says_so()
    {
        using QwenPolicy one = new(TinyModels.Create());
        var scaling = new RopeScaling { Kind = RopeScalingKind.Linear, Factor = 2 };
        using QwenPolicy other = new(CausalLM.Initialize(TinyModels.Config() with { RopeScaling = scaling }, seed: 7));
        Assert.Equal(
            [new("config.rope_scaling", "linear, factor 2")], other.Identity.Facts.Except(one.Identity.Facts));
        Assert.Empty(one.Identity.Facts.Except(other.Identity.Facts));
        using QwenPolicy llama = new(CausalLM.Initialize(TinyModels.Config(family: "llama with biases"), seed: 7));
        Assert.Equal(
            ["config.mlp_bias", "config.model_type", "config.rope_scaling"],
            llama.Identity.Facts.Select(fact => fact.Key).Except(one.Identity.Facts.Select(fact => fact.Key))
                .Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Weights_of_a_model_do_not_depend_on_an_adapter_or_on_what_is_frozen()
    {
        using QwenPolicy plain = new(TinyModels.Create()), frozen = new(TinyModels.Create());
        using QwenPolicy adapted = new(TinyModels.Create()), untied = new(TinyModels.Create(tied: false));
        frozen.Model.FreezeEmbeddings();
        adapted.Model.AddAdapter(new LoraOptions { Rank = 2 });

        Assert.Equal(Weights(plain), Weights(frozen));
        Assert.Equal(Weights(plain), Weights(adapted));
        Assert.NotEqual(Weights(plain), Weights(untied));
        Assert.Equal(Weights(plain), new AdapterOffReference(adapted).Identity.Facts.Single(fact => fact.Key == "weights").Value);
    }

    [Fact]
    public void Weights_of_a_model_are_those_of_now()
    {
        using QwenPolicy policy = new(TinyModels.Create());
        string before = Weights(policy);
        using (TensorScope.BeginNoGrad())
        {
            policy.Model.parameters().First().add_(1);
        }

        Assert.NotEqual(before, Weights(policy));
    }

    [Fact]
    public void Identity_refuses_a_merged_adapter()
    {
        using QwenPolicy policy = new(TinyModels.Create());
        policy.Model.AddAdapter(new LoraOptions { Rank = 2 });
        policy.MergeAdapter();
        Assert.Equal(
            "The adapter is merged into the weights, so those of the base cannot be told. Call UnmergeAdapter first.",
            Assert.Throws<InvalidOperationException>(() => policy.Identity).Message);
    }

    [CudaFact]
    public void Identity_does_not_depend_on_the_device()
    {
        using CausalLM model = TinyModels.Create();
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            using QwenPolicy here = new(model.Clone(CPU, type)), there = new(model.Clone(CUDA, type));
            Assert.Equal(here.Identity.Facts, there.Identity.Facts);
        }
    }

    private static string Weights(QwenPolicy policy) => policy.Identity.Facts.Single(fact => fact.Key == "weights").Value;
}
