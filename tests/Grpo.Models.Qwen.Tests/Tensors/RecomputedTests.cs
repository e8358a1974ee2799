using Grpo.Models.Qwen.Tensors;
using Grpo.Models.Qwen.Tests.Planning;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

[Collection(LiveTensors.Name)]
public sealed class RecomputedTests
{
    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Values_and_gradients_are_those_of_the_function_to_the_last_bit(bool first, bool second)
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(1);
        Tensor values = randn([5, 7], generator: generator), others = randn([5, 7], generator: generator),
            upstream = randn([5, 7], generator: generator);
        Tensor a = values.clone().requires_grad_(first), b = others.clone().requires_grad_(second);
        Tensor sameA = values.clone().requires_grad_(first), sameB = others.clone().requires_grad_(second);
        Tensor expected = Product([a, b]), actual = Recomputed.Run(Product, sameA, sameB);
        TensorAssert.Identical(expected.detach(), actual.detach(), "values");
        expected.backward([upstream]);
        actual.backward([upstream]);
        Assert.Equal((first, second), (sameA.grad is not null, sameB.grad is not null));
        Same(a, sameA);
        Same(b, sameB);

        static void Same(Tensor one, Tensor other)
        {
            if (one.grad is { } gradient)
            {
                TensorAssert.Identical(gradient, other.grad!, "gradient");
            }
        }
    }

    [Fact]
    public void The_function_runs_once_where_no_gradient_is_asked_for_and_again_in_a_backward_pass()
    {
        using var scope = TensorScope.Begin();
        int runs = 0;
        Tensor Counted(IReadOnlyList<Tensor> arguments)
        {
            runs++;
            return Product(arguments);
        }

        Recomputed.Run(Counted, ones(2), ones(2));
        Assert.Equal(1, runs);
        Tensor result = Recomputed.Run(Counted, ones(2, requires_grad: true), ones(2));
        Assert.Equal(2, runs);
        BackwardPass.Run(result.sum());
        Assert.Equal(3, runs);
    }

    [MallocTheory]
    [InlineData(1 << 20)]
    public void A_backward_pass_frees_what_a_function_has_kept_before_it_comes_to_the_next(int size) =>
        Assert.Equal(0, LiveTensors.GrowthOf(() =>
        {
            using var scope = TensorScope.Begin();
            Tensor other = ones(size), y = ones(size, requires_grad: true);
            var inUse = new List<long>();
            for (int layer = 0; layer < 8; layer++)
            {
                using var layerScope = TensorScope.Begin(); // frees all handles but the result's, as a module does
                Tensor next = layerScope.Keep(Recomputed.Run(Watched, y, other));
                y.Dispose();
                y = next;
            }

            inUse.Clear();
            BackwardPass.Run(y.sum());
            // Each function kept one tensor of 4 bytes a number, and what a callback returns is freed when the next one returns: of eight
            // functions, the last to run finds seven kept ones fewer than the first, and one gradient more.
            Assert.Equal(8, inUse.Count);
            Assert.InRange((inUse[0] - inUse[^1]) / (4.0 * size), 5.5, 7.5);

            Tensor Watched(IReadOnlyList<Tensor> arguments)
            {
                inUse.Add(HeapUse.Bytes());
                return Product(arguments);
            }
        }));

    private static Tensor Product(IReadOnlyList<Tensor> arguments)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(nn.functional.silu(arguments[0]) * arguments[1]);
    }
}
