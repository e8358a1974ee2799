using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>A pass without gradients goes over many rows in parts.</summary>
public sealed class FeedForwardTests
{
    // 256 rows of 8,192 float32 numbers are the 8 MiB of one part, so that 2 · 301 rows are three uneven parts.
    private static readonly DecoderConfig Wide = TinyModels.Config() with { IntermediateSize = 8192 };
    private const double Tolerance = 1e-5; // a product of fewer rows may sum in another order
    private const int Sequences = 2, Length = 301;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Forward_is_the_same_with_and_without_gradients_when_rows_are_many(bool hasAdapter)
    {
        using var scope = TensorScope.Begin();
        using CausalLM model = Model(hasAdapter ? LoraModels.Options : null);
        Assert.Equal(256, FeedForward.LargestActivation / (Wide.IntermediateSize * sizeof(float)));

        Tensor expected = model.call(Ids, null).detach();
        using IDisposable withoutGradients = no_grad();
        TensorAssert.Near(expected, model.call(Ids, null), Tolerance, "logits");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.5)]
    public void Loss_and_gradients_are_those_of_the_plain_pass_when_layers_are_run_again(double dropout)
    {
        using var scope = TensorScope.Begin();
        // A model each: passes are numbered, and the number decides the mask of dropout.
        (Tensor Loss, Tensor Gradient)[] results = [.. new[] { false, true }.Select(checkpoints =>
        {
            using CausalLM model = Model(LoraModels.Options with { Dropout = dropout });
            model.GradientCheckpointing = checkpoints;
            Tensor loss = model.call(Ids, null).square().mean();
            loss.backward();
            return (loss.detach().reshape(1), model.Adapter!.Parameters().First().Parameter.grad!.clone());
        })];

        TensorAssert.Near(results[0].Loss, results[1].Loss, Tolerance, "loss");
        TensorAssert.Near(results[0].Gradient, results[1].Gradient, Tolerance, "gradient of the first adapter");
    }

    private static Tensor Ids => (arange(Sequences * Length, ScalarType.Int64) * 31 % Wide.VocabularySize).view(Sequences, Length);

    private static CausalLM Model(LoraOptions? adapter)
    {
        CausalLM model = CausalLM.Initialize(Wide, seed: 7);
        if (adapter is not null)
        {
            model.AddAdapter(adapter);
            LoraModels.Train(model);
        }

        return model;
    }
}
