using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class CausalLMTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Parameters_have_the_names_and_shapes_of_the_checkpoint_format(bool tied)
    {
        using CausalLM model = TinyModels.Create(tied);
        (string, string)[] actual = [.. model.named_parameters().Select(named => (named.name, string.Join("×", named.parameter.shape)))];
        (string, string)[] expected =
            [.. DecoderParameters.List(model.Config).Select(named => (named.Name, string.Join("×", named.Shape)))];
        Assert.Equal(expected.Order(), actual.Order());
        // 12 in each of two layers, embedding, final norm, head.
        Assert.Equal(tied ? 26 : 27, actual.Length);
        Assert.Contains(("model.layers.1.self_attn.k_proj.bias", "8"), actual);                          // 2 heads of width 24 / 6
        Assert.Empty(model.named_buffers());
    }

    [Theory]
    [InlineData("qwen3", 24)]                // 7 projections, 2 norms and 2 norms of heads in each of two layers, embedding, final norm
    [InlineData("llama", 20)]
    [InlineData("llama with biases", 34)]    // and a bias of each projection
    public void Parameters_have_the_names_of_the_family(string family, int count)
    {
        using CausalLM model = CausalLM.Initialize(TinyModels.Config(family: family), seed: 7);
        string[] actual = [.. model.named_parameters().Select(named => $"{named.name} {string.Join("×", named.parameter.shape)}")];
        string[] expected = [.. DecoderParameters.List(model.Config).Select(named => $"{named.Name} {string.Join("×", named.Shape)}")];
        Assert.Equal(expected.Order(StringComparer.Ordinal), actual.Order(StringComparer.Ordinal));
        Assert.Equal(count, actual.Length);
        Assert.Equal(family == "qwen3", actual.Contains("model.layers.1.self_attn.k_norm.weight 6"));
        Assert.Equal(family == "llama with biases", actual.Contains("model.layers.1.self_attn.o_proj.bias 24"));
        Assert.Equal(family == "llama with biases", actual.Contains("model.layers.1.mlp.gate_proj.bias 40"));
        Assert.DoesNotContain(actual, name => family == "llama" && name.Contains("bias", StringComparison.Ordinal));
    }

    [Fact]
    public void Head_width_may_differ_from_hidden_size_over_heads()
    {
        using CausalLM model = CausalLM.Initialize(TinyModels.Config() with { HeadWidth = 10 }, seed: 1);
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal([60, 24], model.get_parameter("model.layers.0.self_attn.q_proj.weight")!.shape);
        Assert.Equal([1, 3, 37], model.call(tensor(new long[,] { { 1, 2, 3 } }), null).shape);
    }

    [Fact]
    public void Initialize_gives_the_same_weights_for_the_same_seed_and_leaves_the_global_generator_alone()
    {
        using var scope = TensorScope.BeginNoGrad();
        byte[] before = random.get_rng_state().bytes.ToArray();
        using CausalLM one = TinyModels.Create(seed: 5);
        using CausalLM same = TinyModels.Create(seed: 5);
        using CausalLM other = TinyModels.Create(seed: 6);
        Assert.Equal(before, random.get_rng_state().bytes.ToArray());
        foreach (((string name, Tensor first), (_, Tensor second)) in one.named_parameters().Zip(same.named_parameters()))
        {
            TensorAssert.Identical(first, second, name);
        }

        Assert.False(one.HeadWeight.allclose(other.HeadWeight));
        Assert.Equal(0.3, one.HeadWeight.std().item<float>(), 0.02);                                     // 888 draws of InitializerRange
        Assert.Equal(1, one.get_parameter("model.norm.weight")!.mean().item<float>());
        Assert.Equal(0, one.get_parameter("model.layers.0.self_attn.q_proj.bias")!.abs().sum().item<float>());
    }

    [Fact]
    public void Padding_on_the_left_changes_nothing_for_real_tokens()
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.BeginNoGrad();
        Tensor alone = model.call(tensor(new long[,] { { 5, 6, 7 } }), null);
        Tensor padded = model.call(
            tensor(new long[,] { { 0, 0, 5, 6, 7 }, { 1, 2, 3, 4, 5 } }),
            tensor(new long[,] { { 0, 0, 1, 1, 1 }, { 1, 1, 1, 1, 1 } }));
        TensorAssert.Near(alone[0], padded[0].narrow(0, 2, 3), 1e-5);
        TensorAssert.Near(model.call(tensor(new long[,] { { 1, 2, 3, 4, 5 } }), null)[0], padded[1], 1e-5);
    }

    [Fact]
    public void Tokens_behind_a_position_do_not_change_it()
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.BeginNoGrad();
        Tensor one = model.call(tensor(new long[,] { { 5, 6, 7, 8 } }), null);
        Tensor other = model.call(tensor(new long[,] { { 5, 6, 30, 31 } }), null);
        TensorAssert.Near(one.narrow(1, 0, 2), other.narrow(1, 0, 2), 1e-6);
        Assert.True((one - other).abs().max().item<float>() > 0.1);
    }

    [Fact]
    public void Gradients_stay_finite_when_a_row_is_nothing_but_padding()
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.Begin();
        Tensor hidden = model.Hidden(
            tensor(new long[,] { { 0, 0, 0, 0 }, { 0, 0, 5, 6 } }),
            tensor(new long[,] { { 0, 0, 0, 0 }, { 0, 0, 1, 1 } }));
        Assert.True(hidden.isfinite().all().item<bool>());
        hidden[1, 3].sum().backward();
        foreach ((string name, Tensor parameter) in model.named_parameters())
        {
            Assert.True(parameter.grad!.isfinite().all().item<bool>(), name);
        }

        // Padding has id 0, which no real token has.
        Assert.Equal(0, model.HeadWeight.grad![0].abs().sum().item<float>());
        Assert.NotEqual(0, model.HeadWeight.grad![5].abs().sum().item<float>());
    }

    [Fact]
    public void Clone_shares_nothing()
    {
        using CausalLM model = TinyModels.Create(tied: false);
        using CausalLM copy = model.Clone();
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Identical(model.HeadWeight, copy.HeadWeight, "head");
        model.HeadWeight.zero_();
        Assert.NotEqual(0, copy.HeadWeight.abs().sum().item<float>());
    }

    [Fact]
    public void Bfloat16_models_run()
    {
        using var model = new CausalLM(TinyModels.Config(), type: ScalarType.BFloat16);
        using CausalLM exact = TinyModels.Create();
        model.CopyWeightsFrom(exact);
        using var scope = TensorScope.BeginNoGrad();
        Tensor tokenIds = tensor(new long[,] { { 0, 5, 6 }, { 1, 2, 3 } });
        Tensor mask = tensor(new long[,] { { 0, 1, 1 }, { 1, 1, 1 } });
        Tensor logits = model.call(tokenIds, mask);
        Assert.Equal(ScalarType.BFloat16, logits.dtype);
        Tensor difference = (logits.to(ScalarType.Float32) - exact.call(tokenIds, mask)).narrow(1, 1, 2).abs();
        // Logits of size 5 after two layers in bfloat16, which has 8 bits of mantissa.
        Assert.True(difference.max().item<float>() < 0.2);
    }

    [Fact]
    public void Hidden_says_what_is_wrong_with_its_arguments()
    {
        using CausalLM model = TinyModels.Create();
        using var scope = TensorScope.BeginNoGrad();
        ErrorAssert.Says<ArgumentException>("tokenIds must be [B, T]", () => model.Hidden(zeros(3, ScalarType.Int64)));
        ErrorAssert.Says<ArgumentException>("must be Int64 on cpu but is Float32", () => model.Hidden(zeros(1, 3)));
        ErrorAssert.Says<ArgumentException>("at least one token but is [1, 0]", () => model.Hidden(zeros(1, 0, ScalarType.Int64)));
        ErrorAssert.Says<ArgumentException>(
            "attentionMask must be [B, T] = [1, 3] but is [1, 2]", () => model.Hidden(zeros(1, 3, ScalarType.Int64), zeros(1, 2)));
    }
}

[Collection(LiveTensors.Name)]
public sealed class CausalLMLiveTensorTests
{
    [Fact]
    public void Dispose_frees_every_parameter()
    {
        // torch counts a parameter's constructor argument for ever, so the number of live tensors does not tell.
        CausalLM model = TinyModels.Create(tied: false);
        Tensor[] parameters = [.. model.parameters()];
        Assert.DoesNotContain(parameters, parameter => parameter.IsInvalid);
        model.Dispose();
        Assert.All(parameters, parameter => Assert.True(parameter.IsInvalid));
    }

    [Fact]
    public void A_model_made_inside_a_scope_outlives_it()
    {
        CausalLM model;
        using (var scope = TensorScope.Begin())
        {
            model = TinyModels.Create();
        }

        using (model)
        {
            Assert.Equal([37, 24], model.HeadWeight.shape);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_training_step_leaves_no_tensors(bool inScope)
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        long growth = LiveTensors.GrowthOf(() =>
        {
            if (inScope)
            {
                using var scope = TensorScope.Begin();
                Step(policy);
            }
            else
            {
                Step(policy);
            }
        });
        Assert.Equal(0, growth);
    }

    private static void Step(QwenPolicy policy)
    {
        TokenBatch batch = TokenBatchBuilder.Build([new([1, 2, 3], [4, 5]), new([6], [7, 8, 9])], padTokenId: 0, CPU);
        using Tensor logProbs = policy.LogProbs(batch, temperature: 0.9);
        using Tensor loss = logProbs.sum();
        loss.backward();
        foreach (Tensor tensor in new[] { batch.PromptIds, batch.PromptMask, batch.CompletionIds, batch.CompletionMask })
        {
            tensor.Dispose();
        }
    }
}
