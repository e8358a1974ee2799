using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>A configuration that ties the output layer to the embedding, beside a file that holds an output layer.</summary>
public sealed class TiedHeadTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public TiedHeadTests()
    {
        using CausalLM model = TinyModels.Create(tied: true);
        QwenWeights.Save(model, _folder.Path);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    public void Load_accepts_a_head_that_equals_the_embedding(ScalarType type)
    {
        AddHead(embedding => embedding.to(type));
        using CausalLM model = QwenWeights.Load(_folder.Path);
        QwenWeights.LoadInto(model, _folder.Path);
        Assert.True(model.Config.TieWordEmbeddings);
    }

    [Fact]
    public void Load_refuses_a_head_that_differs_from_the_embedding()
    {
        AddHead(embedding =>
        {
            Tensor head = embedding.clone();
            head[36, 23] += 1; // the very last number
            return head;
        });
        AssertRefused("lm_head.weight differs from model.embed_tokens.weight, but tie_word_embeddings is true");
    }

    [Fact]
    public void Load_refuses_a_head_of_another_shape()
    {
        AddHead(embedding => embedding[TensorIndex.Slice(0, 36)].contiguous());
        AssertRefused("lm_head.weight is [36, 24] but must be [37, 24]");
    }

    [Fact]
    public void LoadInto_refuses_the_head_and_leaves_the_model()
    {
        using CausalLM model = TinyModels.Create(tied: true, seed: 8);
        AddHead(embedding => embedding + 1);
        using var scope = TensorScope.BeginNoGrad();
        Tensor before = model.parameters().First().detach().clone();
        Assert.Throws<InvalidDataException>(() => QwenWeights.LoadInto(model, _folder.Path));
        TensorAssert.Identical(before, model.parameters().First(), "embedding");
    }

    [Fact]
    public void Load_refuses_an_untied_model_without_a_head()
    {
        DecoderConfig config = DecoderConfig.Load(_folder.Path) with { TieWordEmbeddings = false };
        _folder.Write("config.json", config.ToJson());
        AssertRefused("lm_head.weight [37, 24]");
    }

    public void Dispose() => _folder.Dispose();

    private void AssertRefused(string message) => ErrorAssert.Says<InvalidDataException>(message, () => QwenWeights.Load(_folder.Path));

    private void AddHead(Func<Tensor, Tensor> head)
    {
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Tensor> tensors;
        using (SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(_folder.Path))
        {
            tensors = checkpoint.Entries.Keys.ToDictionary(name => name, checkpoint.Read);
        }

        tensors["lm_head.weight"] = head(tensors["model.embed_tokens.weight"]);
        SafetensorsWriter.Write(_folder.File("model.safetensors"), tensors);
    }
}
