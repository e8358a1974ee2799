using System.Runtime.InteropServices;
using Grpo.Core.Tests.Optimization;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

public sealed class BackwardPassTests
{
    [Fact]
    public void Run_hands_on_what_a_function_throws()
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = ones(3, requires_grad: true);
        var thrown = NativeFailure.OutOfMemory();
        Tensor loss = TightPolicy.FailingBackward.apply(leaf * 2, (Action)(() => throw thrown)).sum();

        Assert.Same(thrown, Assert.Throws<ExternalException>(() => BackwardPass.Run(loss)));
        Assert.Null(leaf.grad);
    }

    [Fact]
    public void Run_serves_the_next_pass_as_if_nothing_had_been()
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = ones(3, requires_grad: true);
        Assert.Throws<TimeoutException>(
            () => BackwardPass.Run(TightPolicy.FailingBackward.apply(leaf, (Action)(() => throw new TimeoutException())).sum()));
        BackwardPass.Run((leaf * 5).sum());

        Assert.Equal([5f, 5f, 5f], leaf.grad!.data<float>().ToArray());
    }

    [Fact]
    public void A_pass_that_was_not_begun_by_Run_fails_too_and_the_process_lives()
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = ones(3, requires_grad: true);
        Tensor loss = TightPolicy.FailingBackward.apply(leaf, (Action)(() => throw NativeFailure.OutOfMemory())).sum();

        Assert.Throws<ExternalException>(loss.backward);
        Assert.Null(leaf.grad);

        // What it threw is not taken for the failure of another pass.
        Assert.DoesNotContain(
            "memory", Assert.Throws<ExternalException>(() => BackwardPass.Run(ones(1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_lets_an_error_of_libtorch_through()
    {
        using var scope = TensorScope.Begin();
        Assert.Contains("grad", Assert.Throws<ExternalException>(() => BackwardPass.Run(ones(1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_function_may_throw_in_its_forward_pass()
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = ones(2, requires_grad: true);

        Assert.Throws<TimeoutException>(() => ThrowingForward.apply(leaf.sum(), (Func<Exception>)(() => new TimeoutException())));
    }

    private sealed class ThrowingForward : SafeFunction<ThrowingForward>
    {
        public override string Name => nameof(ThrowingForward);

        protected override Tensor Compute(autograd.AutogradContext context, object[] inputs) => throw ((Func<Exception>)inputs[1])();

        protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient) => [];
    }
}
