using System.Text.Json;
using Grpo.Modeling;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>An adapter written by PEFT: logits, log-probs, loss, gradients and merged weights against PyTorch's.</summary>
public sealed class LoraGoldenTests : IDisposable
{
    private const string FilePrefix = "base_model.model.";

    private readonly CausalLM? _model;
    private readonly SafetensorsReader? _expected;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();

    public LoraGoldenTests()
    {
        if (SharedData.Root is not null)
        {
            _model = QwenWeights.Load(BaseFolder());
            LoraAdapterFiles.AddTo(_model, Folder);
            _expected = SafetensorsReader.Open(Path.Combine(Folder, "expected.safetensors"));
        }
    }

    private static string Folder => SharedData.Path("golden", "lora-A");

    [SharedFact]
    public void The_configuration_is_read()
    {
        LoraOptions options = _model!.Adapter!.Options;
        using JsonDocument written = Document("adapter_config.json"), expected = Document("expected.json");
        JsonElement config = written.RootElement;
        Assert.Equal(config.GetProperty("r").GetInt32(), options.Rank);
        Assert.Equal(config.GetProperty("lora_alpha").GetDouble(), options.Alpha);
        Assert.Equal(expected.RootElement.GetProperty("scale").GetDouble(), options.Scale, 1e-12);
        Assert.Equal(config.GetProperty("lora_dropout").GetDouble(), options.Dropout);
        Assert.Equal(config.GetProperty("use_rslora").GetBoolean(), options.UseRankStabilizedScale);
        Assert.Equal(Modules(config), options.TargetModules.Order(StringComparer.Ordinal));
        Assert.Equal(new LoraBaseModel(config.GetProperty("base_model_name_or_path").GetString()!), _model.Adapter.BaseModel);
        using SafetensorsReader adapter = SafetensorsReader.Open(Path.Combine(Folder, "adapter_model.safetensors"));
        Assert.Equal(adapter.Entries.Count, _model.parameters().Count(parameter => parameter.requires_grad));
    }

    [SharedFact]
    public void Logits_log_probs_and_loss_equal_the_reference()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor mask = _expected!.Read("attention_mask");
        Tensor logits = _model!.call(_expected.Read("input_ids"), mask);
        TensorAssert.Near(_expected.Read("logits") * mask.unsqueeze(2), logits * mask.unsqueeze(2), 1e-4, "logits");

        (Tensor logProbs, Tensor loss) = NextTokenLoss();
        TensorAssert.Near(_expected.Read("next_logps") * _expected.Read("next_mask"), logProbs, 1e-4, "log-probs");
        TensorAssert.Near(_expected.Read("loss"), loss.reshape(1), 1e-5, "loss");
    }

    [SharedFact]
    public void Every_gradient_of_the_adapter_equals_the_reference_and_the_base_has_none()
    {
        using var scope = TensorScope.Begin();
        NextTokenLoss().Loss.backward();
        int compared = 0;
        foreach ((string name, Parameter parameter) in _model!.named_parameters())
        {
            Tensor? gradient = parameter.grad;
            if (!parameter.requires_grad)
            {
                Assert.Null(gradient);
                continue;
            }

            Tensor expected = _expected!.Read($"grad.{FilePrefix}{name}");
            TensorAssert.Near(expected, gradient!, 1e-4 * expected.abs().max().item<float>(), name);
            compared++;
        }

        Assert.Equal(_expected!.Entries.Keys.Count(name => name.StartsWith("grad.", StringComparison.Ordinal)), compared);
        Assert.NotEqual(0, compared);
    }

    [SharedFact]
    public void Merged_weights_equal_the_reference_and_give_the_same_logits()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var policy = new QwenPolicy(_model!);
        Tensor mask = _expected!.Read("attention_mask");
        Tensor unmerged = _model!.call(_expected.Read("input_ids"), mask) * mask.unsqueeze(2);
        policy.MergeAdapter();

        TensorAssert.Near(unmerged, _model.call(_expected.Read("input_ids"), mask) * mask.unsqueeze(2), 1e-4, "logits");
        Dictionary<string, Parameter> weights = _model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        string[] given = [.. _expected.Entries.Keys.Where(name => name.StartsWith("merged.", StringComparison.Ordinal))];
        Assert.NotEmpty(given);
        Assert.All(given, name => TensorAssert.Near(_expected.Read(name), weights[name["merged.".Length..]], 1e-6, name));

        using JsonDocument document = Document("expected.json");
        JsonProperty[] sums = [.. document.RootElement.GetProperty("merged_weight_sum_and_l2").EnumerateObject()];
        Assert.NotEmpty(sums);
        foreach (JsonProperty entry in sums)
        {
            Tensor weight = weights[entry.Name["merged.".Length..]];
            Assert.Equal(entry.Value[0].GetDouble(), weight.to(ScalarType.Float64).sum().item<double>(), 1e-4);
            Assert.Equal(entry.Value[1].GetDouble(), weight.to(ScalarType.Float64).norm().item<double>(), 1e-4);
        }
    }

    [SharedFact]
    public void A_saved_adapter_equals_the_loaded_one_bit_for_bit()
    {
        LoraAdapterFiles.Save(_model!, _folder.FullName);
        using SafetensorsReader original = SafetensorsReader.Open(Path.Combine(Folder, "adapter_model.safetensors"));
        using SafetensorsReader saved = SafetensorsReader.Open(Path.Combine(_folder.FullName, "adapter_model.safetensors"));
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal(original.Entries.Keys.Order(StringComparer.Ordinal), saved.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.All(original.Entries.Keys, name => TensorAssert.Identical(original.Read(name), saved.Read(name), name));

        using JsonDocument before = Document("adapter_config.json");
        using JsonDocument after = JsonDocument.Parse(File.ReadAllText(Path.Combine(_folder.FullName, "adapter_config.json")));
        Assert.Equal(Modules(before.RootElement), Modules(after.RootElement));                       // a set: PEFT writes it in any order
        Assert.All(after.RootElement.EnumerateObject().Where(field => field.Name != "target_modules"), field => Assert.True(
            JsonElement.DeepEquals(before.RootElement.GetProperty(field.Name), field.Value),
            $"{field.Name} is {field.Value.GetRawText()}."));
    }

    [SharedFact]
    public void Adapter_off_log_probs_equal_those_of_the_base_model_bit_for_bit()
    {
        using var policy = new QwenPolicy(_model!);
        using var bare = new QwenPolicy(QwenWeights.Load(BaseFolder()));
        using var scope = TensorScope.BeginNoGrad();
        Tensor expected = bare.LogProbs(LoraModels.Batch, 0.9);
        TensorAssert.Identical(expected, new AdapterOffReference(policy).LogProbs(LoraModels.Batch, 0.9), "log-probs");
        Assert.True((policy.LogProbs(LoraModels.Batch, 0.9) - expected).abs().max().item<float>() > 0.01);
    }

    public void Dispose()
    {
        _expected?.Dispose();
        _model?.Dispose();
        _folder.Delete(recursive: true);
    }

    /// <summary>The base model of the adapter, which names it relative to its own folder.</summary>
    private static string BaseFolder()
    {
        using JsonDocument config = Document("adapter_config.json");
        return Path.GetFullPath(Path.Combine(Folder, config.RootElement.GetProperty("base_model_name_or_path").GetString()!));
    }

    private static JsonDocument Document(string name) => JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, name)));

    private static IEnumerable<string> Modules(JsonElement config) =>
        config.Items("target_modules").Select(name => name.GetString()!).Order(StringComparer.Ordinal);

    /// <summary>log p(token t + 1 | tokens to t), 0 where masked, [B, T − 1], and minus their mean.</summary>
    private (Tensor LogProbs, Tensor Loss) NextTokenLoss()
    {
        Tensor tokenIds = _expected!.Read("input_ids");
        Tensor nextMask = _expected.Read("next_mask");
        (long rows, long length) = (nextMask.shape[0], nextMask.shape[1]);
        Tensor real = nextMask.reshape(-1).nonzero().squeeze(1);
        Tensor hidden = _model!.Hidden(tokenIds, _expected.Read("attention_mask")).narrow(1, 0, length);
        Tensor logProbs = TokenLogProbs.Compute(
            hidden.reshape(rows * length, -1).index_select(0, real),
            _model.HeadWeight,
            tokenIds.narrow(1, 1, length).reshape(-1).index_select(0, real),
            temperature: 1);
        return (zeros(rows * length).scatter(0, real, logProbs).view(rows, length), -logProbs.mean());
    }
}
