using System.Text.Json.Nodes;
using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class LoraAdapterFilesTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QwenPolicy _policy = LoraModels.Policy();

    [Fact]
    public void A_policy_writes_nothing_but_the_two_files_of_PEFT_and_reads_them_back_bit_for_bit()
    {
        using QwenPolicy other = LoraModels.Policy(LoraModels.Options with { Seed = 99 }, trained: false);
        _policy.Save(_folder.Path);
        Assert.Equal(["adapter_config.json", "adapter_model.safetensors"], Directory.GetFiles(_folder.Path).Select(Path.GetFileName)
            .Order(StringComparer.Ordinal));
        using (SafetensorsReader file = SafetensorsReader.Open(_folder.File("adapter_model.safetensors")))
        {
            Assert.Equal(28, file.Entries.Count);
            Assert.Equal([3, 24], file.Entries["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"].Shape);
            Assert.Equal([40, 3], file.Entries["base_model.model.model.layers.1.mlp.gate_proj.lora_B.weight"].Shape);
            Assert.All(file.Entries.Values, entry => Assert.Equal(ScalarType.Float32, entry.DType));
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor[] handles = [.. other.TrainedParameters().Select(trained => trained.Parameter)];
        other.Load(_folder.Path);
        LoraModels.AssertSame(LoraModels.Weights(_policy.Model), other.Model);
        Assert.Equal(handles, other.TrainedParameters().Select(trained => trained.Parameter));
    }

    [Fact]
    public void An_adapter_is_added_with_what_its_configuration_says()
    {
        using QwenPolicy policy = LoraModels.Policy(new LoraOptions
        {
            Rank = 2,
            Alpha = 2.5,
            Dropout = 0.125,
            UseRankStabilizedScale = true,
            TargetModules = ["v_proj", "up_proj"],
        });
        LoraAdapterFiles.Save(policy.Model, _folder.Path);
        using CausalLM model = TinyModels.Create();
        LoraOptions options = LoraAdapterFiles.AddTo(model, _folder.Path).Options;

        // The dropout is how it was trained, not what it is.
        Assert.Contains("\"lora_dropout\": 0.125", File.ReadAllText(_folder.File("adapter_config.json")), StringComparison.Ordinal);
        Assert.Equal((2, 2.5, 0.0, true), (options.Rank, options.Alpha, options.Dropout, options.UseRankStabilizedScale));
        Assert.Equal(["v_proj", "up_proj"], options.TargetModules);
        Assert.Null(model.Adapter!.BaseModel);
        using var scope = TensorScope.BeginNoGrad();
        LoraModels.AssertSame(LoraModels.Weights(policy.Model), model);
    }

    [Fact]
    public void The_file_depends_on_the_weights_only()
    {
        _policy.Save(_folder.Path);
        byte[] first = File.ReadAllBytes(_folder.File("adapter_model.safetensors"));
        _policy.Save(_folder.Path);
        Assert.Equal(first, File.ReadAllBytes(_folder.File("adapter_model.safetensors")));
    }

    [Fact]
    public void Unknown_fields_are_ignored_and_weights_of_16_bits_converted()
    {
        _policy.Save(_folder.Path);
        Edit(fields =>
        {
            fields["peft_version"] = "0.99";
            fields["eva_config"] = null;
            fields["qalora_group_size"] = 16;
            fields["rank_pattern"] = new JsonObject();
            fields["target_modules"] = "all-linear";
            fields["init_lora_weights"] = "gaussian";
        });
        Rewrite(tensors =>
        {
            foreach (string name in tensors.Keys.ToArray())
            {
                tensors[name] = tensors[name].to(ScalarType.BFloat16);
            }
        });
        using CausalLM model = TinyModels.Create();
        LoraAdapterFiles.AddTo(model, _folder.Path);
        using var scope = TensorScope.BeginNoGrad();
        foreach ((string name, Tensor parameter) in _policy.Model.Adapter!.Parameters())
        {
            TensorAssert.Identical(
                parameter.to(ScalarType.BFloat16).to(ScalarType.Float32),
                model.Adapter!.Parameters().Single(named => named.Name == name).Parameter, name);
        }
    }

    [Theory]
    [InlineData("use_dora", "true", "use_dora is set but not supported: DoRA also rescales the sum of weight and update.")]
    [InlineData("lora_bias", "true", "lora_bias is set but not supported")]
    [InlineData("modules_to_save", """["lm_head"]""", "modules_to_save is set but not supported")]
    [InlineData("rank_pattern", """{"q_proj": 8}""", "rank_pattern is set but not supported")]
    [InlineData("alpha_pattern", """{"q_proj": 8}""", "alpha_pattern is set but not supported")]
    [InlineData("layers_to_transform", "0", "layers_to_transform is set but not supported")]
    [InlineData("layer_replication", "[[0, 1]]", "layer_replication is set but not supported")]
    [InlineData("exclude_modules", "\"q_proj\"", "exclude_modules is set but not supported")]
    [InlineData("trainable_token_indices", "[1]", "trainable_token_indices is set but not supported")]
    [InlineData("use_qalora", "true", "use_qalora is set but not supported")]
    [InlineData("target_parameters", """["experts.weight"]""", "target_parameters is set but not supported")]
    [InlineData("alora_invocation_tokens", "[1, 2]", "alora_invocation_tokens is set but not supported")]
    [InlineData("loftq_config", """{"loftq_bits": 4}""", "loftq_config is set but not supported")]
    [InlineData("fan_in_fan_out", "true", "fan_in_fan_out is set but not supported")]
    [InlineData("task_type", "\"SEQ_CLS\"", "task_type is \"SEQ_CLS\" but only \"CAUSAL_LM\" is supported")]
    [InlineData("use_bdlora", "{\"nblocks\": 2}", "use_bdlora is set but not supported")]
    [InlineData("layers_pattern", "\"blocks\"", "layers_pattern is set but not supported")]
    [InlineData("arrow_config", "{\"top_k\": 2}", "arrow_config is set but not supported")]
    [InlineData("megatron_config", "{\"tp\": 2}", "megatron_config is set but not supported")]
    [InlineData("corda_config", "{\"cache_file\": \"c\"}", "corda_config is set but not supported")]
    [InlineData("use_some_new_kind", "true", "use_some_new_kind is set but not known")]
    [InlineData("router_scale", "0.5", "router_scale is set but not known")]
    [InlineData("init_lora_weights", "\"corda\"", "init_lora_weights names a start that changes the base weights")]
    [InlineData("init_lora_weights", "2", "init_lora_weights is 2 but must be true, false or the name of a start")]
    [InlineData("bias", "\"all\"", "bias is \"all\" but only \"none\" is supported")]
    [InlineData("init_lora_weights", "\"pissa_niter_4\"", "init_lora_weights names a start that changes the base weights")]
    [InlineData("peft_type", "\"IA3\"", "peft_type is \"IA3\" but only \"LORA\" is supported.")]
    [InlineData("target_modules", "\".*_proj\"", "target_modules is a pattern, which is not supported.")]
    [InlineData("target_modules", """["q_proj", "embed_tokens"]""", "TargetModules names 'embed_tokens', which cannot be adapted")]
    [InlineData("target_modules", "null", "target_modules is missing.")]
    [InlineData("r", "null", "r is missing.")]
    [InlineData("r", "-1", "Rank is -1")]
    [InlineData("r", "2.5", "r is 2.5 but must be a whole number.")]
    [InlineData("lora_alpha", "null", "lora_alpha is missing.")]
    [InlineData("lora_dropout", "1.5", "Dropout is 1.5")]
    [InlineData("use_rslora", "1", "use_rslora is 1 but must be true or false.")]
    public void A_configuration_that_would_mean_something_else_here_is_refused(string field, string value, string words)
    {
        _policy.Save(_folder.Path);
        Edit(fields => fields[field] = JsonNode.Parse(value));
        using CausalLM model = TinyModels.Create();
        ErrorAssert.Says<InvalidDataException>(words, () => LoraAdapterFiles.AddTo(model, _folder.Path));
        Assert.Null(model.Adapter);
    }

    [Theory]
    [InlineData("[]", "must hold a JSON object")]
    [InlineData("{\"r\": ", "not valid JSON")]
    [InlineData("\u00ff", "r is missing")]
    public void A_damaged_configuration_is_refused(string content, string words)
    {
        _policy.Save(_folder.Path);
        _folder.Write("adapter_config.json", content == "\u00ff" ? "{}" : content);
        ErrorAssert.Says<InvalidDataException>(words, () => _policy.Load(_folder.Path));
    }

    [Fact]
    public void A_huge_configuration_is_not_read()
    {
        _policy.Save(_folder.Path);
        _folder.Write("adapter_config.json", new string(' ', (1 << 20) + 1));
        ErrorAssert.Says<InvalidDataException>("has 1048577 bytes", () => _policy.Load(_folder.Path));
    }

    [Fact]
    public void A_rank_is_not_believed_before_the_weights_show_it()
    {
        _policy.Save(_folder.Path);
        Edit(fields => fields["r"] = 8_192);
        using CausalLM model = TinyModels.Create();
        ErrorAssert.Says<InvalidDataException>(
            "q_proj.lora_A.weight is [3, 24] but must be [8192, 24]", () => LoraAdapterFiles.AddTo(model, _folder.Path));
        Assert.Null(model.Adapter);
        Assert.True(model.HeadWeight.requires_grad);
    }

    [Fact]
    public void Everything_that_does_not_fit_is_listed_and_nothing_has_changed()
    {
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Tensor> before = LoraModels.Weights(_policy.Model);
        _policy.Save(_folder.Path);
        Rewrite(tensors =>
        {
            tensors.Remove("base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight");
            tensors["base_model.model.lm_head.lora_A.weight"] = ones(1);
            tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"] = ones([3, 24], ScalarType.Int64);
        });
        string message = Assert.Throws<InvalidDataException>(() => _policy.Load(_folder.Path)).Message;
        Assert.Equal(
            $"""
            The weights in '{_folder.File("adapter_model.safetensors")}' do not fit the model and adapter_config.json.
            missing (1):
            - base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight [8, 3]
            unexpected (1):
            - base_model.model.lm_head.lora_A.weight
            wrong type (1):
            - base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight is Int64 but must be a floating-point type
            """.ReplaceLineEndings("\n"),
            message);
        LoraModels.AssertSame(before, _policy.Model);
    }

    [Fact]
    public void An_adapter_of_another_kind_is_not_loaded_into_a_policy()
    {
        using QwenPolicy rank = LoraModels.Policy(LoraModels.Options with { Rank = 2 });
        using QwenPolicy scale = LoraModels.Policy(LoraModels.Options with { Alpha = 3 });
        using QwenPolicy targets = LoraModels.Policy(LoraModels.Options with { TargetModules = ["q_proj"] });
        rank.Save(_folder.Path);
        ErrorAssert.Says<InvalidDataException>("r is 2 but must be 3", () => _policy.Load(_folder.Path));
        scale.Save(_folder.Path);
        ErrorAssert.Says<InvalidDataException>("the scale is 1 but must be 2", () => _policy.Load(_folder.Path));
        targets.Save(_folder.Path);
        ErrorAssert.Says<InvalidDataException>("target_modules is q_proj but must be q_proj, k_proj", () => _policy.Load(_folder.Path));
        using CausalLM model = TinyModels.Create();
        ErrorAssert.Says<InvalidDataException>(
            "not the one that was asked for: target_modules", () => LoraAdapterFiles.AddTo(model, _folder.Path, LoraModels.Options));
    }

    [Fact]
    public void What_is_missing_is_named()
    {
        ErrorAssert.Says<FileNotFoundException>("No adapter_config.json in", () => _policy.Load(_folder.Path));
        ErrorAssert.Says<DirectoryNotFoundException>("Create it first", () => _policy.Save(_folder.File("none")));
        _policy.Save(_folder.Path);
        File.Delete(_folder.File("adapter_model.safetensors"));
        ErrorAssert.Says<FileNotFoundException>("No adapter_model.safetensors in", () => _policy.Load(_folder.Path));
    }

    [Fact]
    public void A_folder_is_either_a_model_or_an_adapter()
    {
        using var whole = new QwenPolicy(TinyModels.Create());
        whole.Save(_folder.Path);
        ErrorAssert.Says<InvalidOperationException>("holds a whole model", () => _policy.Save(_folder.Path));
        using TemporaryFolder second = new();
        _policy.Save(second.Path);
        ErrorAssert.Says<InvalidOperationException>("holds an adapter", () => whole.Save(second.Path));
    }

    public void Dispose()
    {
        _policy.Dispose();
        _folder.Dispose();
    }

    private void Edit(Action<JsonObject> change)
    {
        JsonObject fields = JsonNode.Parse(File.ReadAllText(_folder.File("adapter_config.json")))!.AsObject();
        change(fields);
        _folder.Write("adapter_config.json", fields.ToJsonString());
    }

    private void Rewrite(Action<Dictionary<string, Tensor>> change)
    {
        using var scope = TensorScope.BeginNoGrad();
        string path = _folder.File("adapter_model.safetensors");
        Dictionary<string, Tensor> tensors;
        using (SafetensorsReader reader = SafetensorsReader.Open(path))
        {
            tensors = reader.Entries.Keys.ToDictionary(name => name, reader.Read);
        }

        change(tensors);
        SafetensorsWriter.Write(path, tensors);
    }
}
