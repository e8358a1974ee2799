using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class EmbeddingLookupTests
{
    private static readonly long[] Ids = [3, 0, 3, 3, 6, 0, 2];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rows_give_the_gradient_of_index_select_to_the_last_bit(bool weightHasGradient)
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(1);
        Tensor values = randn([7, 5], generator: generator), upstream = randn([Ids.Length, 5], generator: generator),
            before = randn([7, 5], generator: generator);
        Tensor[] gradients = [.. new Func<Tensor, Tensor, Tensor>[] { EmbeddingLookup.Rows, static (weight, ids) =>
            weight.index_select(0, ids) }.Select(lookUp =>
            {
                Tensor weight = values.clone().requires_grad_(true);
                if (weightHasGradient)
                {
                    weight.grad = before.clone();
                }

                Tensor rows = lookUp(weight, tensor(Ids));
                Assert.True(rows.detach().bytes.SequenceEqual(values.index_select(0, tensor(Ids)).bytes));
                rows.backward([upstream]);
                return weight.grad!;
            })];

        Assert.True(gradients[0].bytes.SequenceEqual(gradients[1].bytes));
    }

    [Fact]
    public void Rows_hand_the_gradient_on_when_the_weight_is_computed()
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = ones([7, 2], requires_grad: true);
        EmbeddingLookup.Rows(leaf * 3, tensor(Ids)).sum().backward();
        // 3 for each time that a row was looked up.
        Assert.Equal([6f, 0f, 3f, 9f, 0f, 0f, 3f], leaf.grad![.., 0].data<float>().ToArray());
    }

    [Fact]
    public void Rows_keep_the_type_of_a_16_bit_weight()
    {
        using var scope = TensorScope.Begin();
        Tensor weight = ones([7, 2], ScalarType.BFloat16, requires_grad: true);
        EmbeddingLookup.Rows(weight, tensor(Ids)).sum().backward();
        Assert.Equal(ScalarType.BFloat16, weight.grad!.dtype);
        Assert.Equal([2f, 0f, 1f, 3f, 0f, 0f, 1f], weight.grad![.., 0].to(ScalarType.Float32).data<float>().ToArray());
    }

    [Fact]
    public void Rows_of_a_frozen_weight_have_no_gradient()
    {
        using var scope = TensorScope.Begin();
        Assert.False(EmbeddingLookup.Rows(ones(7, 2), tensor(Ids)).requires_grad);
    }
}
