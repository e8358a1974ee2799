using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;
using AdamW = Grpo.Optimization.AdamW;

namespace Grpo.Core.Tests.Optimization;

public sealed class AdamWTests
{
    [Fact]
    public void Constructor_refuses_a_policy_without_trainable_parameters()
    {
        var exception = Assert.Throws<InvalidOperationException>(() => new AdamW([], new AdamWOptions()));
        Assert.Equal("The policy has no parameter with requires_grad: there is nothing to train.", exception.Message);
    }

    [Fact]
    public void Constructor_refuses_weights_of_sixteen_bits()
    {
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(zeros(2, 2, ScalarType.BFloat16));
        var exception = Assert.Throws<InvalidOperationException>(() => new AdamW([("w", parameter)], new AdamWOptions()));
        Assert.Equal(
            "Parameter 'w' is BFloat16 but trained weights must be Float32: Adam's steps are smaller than a 16-bit float can hold.",
            exception.Message);
    }

    [Fact]
    public void Apply_moves_each_weight_by_the_learning_rate_in_its_first_step()
    {
        // m/(1−β₁) = g and √(v/(1−β₂)) = |g|: the step is lr · sign(g), whatever the size of g.
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(zeros(3));
        using var adam = new AdamW([("w", parameter)], new AdamWOptions());
        parameter.grad = tensor([5f, -0.01f, 0f]);
        adam.Apply(0.125, gradientScale: 1);
        float[] weights = [.. parameter.detach().data<float>()];
        Assert.Equal(-0.125f, weights[0], 1e-6f);
        Assert.Equal(0.125f, weights[1], 1e-6f);
        Assert.Equal(0f, weights[2]);
    }

    [Fact]
    public void Apply_decays_matrices_and_leaves_vectors()
    {
        using var scope = TensorScope.Begin();
        var matrix = new Parameter(ones(1, 2));
        var bias = new Parameter(ones(2));
        using var adam = new AdamW([("weight", matrix), ("bias", bias)], new AdamWOptions(WeightDecay: 0.5));
        matrix.grad = zeros(1, 2);
        bias.grad = zeros(2);
        adam.Apply(0.5, gradientScale: 1);
        Assert.Equal([0.75f, 0.75f], matrix.detach().data<float>()); // 1 − 0.5 · 0.5
        Assert.Equal([1f, 1f], bias.detach().data<float>());
    }

    /// <summary>The constants and the learning rate of an update whose result is NaN or infinite.</summary>
    public static TheoryData<double, double, double, float> Ruinous => new()
    {
        { 1e-46, 0.125, 1, 0f },                  // ε is 0: 0 / 0
        { 1e-8, 1e39, 1, 1f },                    // the step itself is infinite
        { 1e-8, 0.125, 1, float.NaN },            // a gradient that nobody has looked at
        { 1e-8, 0.125, 1, float.PositiveInfinity },
    };

    [Theory]
    [MemberData(nameof(Ruinous))]
    public void Apply_throws_when_it_leaves_a_weight_that_is_not_finite(double epsilon, double learningRate, double scale, float gradient)
    {
        using var scope = TensorScope.Begin();
        Parameter good = new(zeros(3)), bad = new(zeros(2, 2));
        using var adam = new AdamW([("good", good), ("bad", bad)], new AdamWOptions(Epsilon: epsilon));
        good.grad = epsilon < 1e-40 || learningRate > 1 ? null : zeros(3);
        bad.grad = full(2, 2, gradient);

        var error = Assert.Throws<TrainingDivergedException>(() => adam.Apply(learningRate, scale));

        Assert.Equal(
            FormattableString.Invariant(
                $"Update 1 left NaN or ∞ in the parameter 'bad' (learning rate {learningRate}, AdamEpsilon {epsilon}): ")
                + "the weights in memory cannot be used any more. "
            + "Go back to the last checkpoint, and lower LearningRate or MaxGradientNorm, or raise AdamEpsilon.",
            error.Message);
    }

    [Fact]
    public void Apply_takes_finite_weights_whose_sum_is_beyond_float32()
    {
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(full(4, 3e38f));
        using var adam = new AdamW([("w", parameter)], new AdamWOptions());
        parameter.grad = ones(4);
        adam.Apply(0.125, gradientScale: 1);
        Assert.Equal(3e38f, parameter.detach().data<float>()[0]);
    }

    [Fact]
    public async Task StepAsync_does_not_report_an_update_that_ruined_the_weights()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var folder = new TemporaryFolder();
        optimizer.Save(folder.Path);
        using (TensorScope.BeginNoGrad())
        {
            Tensor ruined = full(Toy.Vocabulary, Toy.Vocabulary, float.NaN);
            SafetensorsWriter.Write(folder["optimizer.safetensors"], [new("exp_avg.table", ruined), new("exp_avg_sq.table", ruined)]);
        }

        optimizer.Load(folder.Path);
        await Assert.ThrowsAsync<TrainingDivergedException>(() => optimizer.StepAsync(Toy.Prompts));
        Assert.Equal(0, optimizer.Step);
    }

    [Fact]
    public void Apply_scales_the_gradients_and_does_not_mind_their_layout()
    {
        // From m = v = 0: m = 0.1·g and v = 0.001·g², so the second step, with another gradient, depends on the scale of the first.
        using var scope = TensorScope.Begin();
        float[] small = Weights(tensor([2f, -8f, 6f, 4f], 2, 2), 0.5), same = Weights(tensor([1f, -4f, 3f, 2f], 2, 2), 1);
        float[] turned = Weights(tensor([1f, 3f, -4f, 2f], 2, 2).t(), 1);
        Assert.Equal(same, small);
        Assert.Equal(same, turned);
        Assert.NotEqual(same, Weights(tensor([2f, -8f, 6f, 4f], 2, 2), 1));

        static float[] Weights(Tensor gradient, double scale)
        {
            var parameter = new Parameter(ones(2, 2));
            using var adam = new AdamW([("w", parameter)], new AdamWOptions());
            parameter.grad = gradient;
            adam.Apply(0.1, scale);
            parameter.grad = ones(2, 2);
            adam.Apply(0.1, gradientScale: 1);
            return [.. parameter.detach().data<float>()];
        }
    }

    [Fact]
    public void Apply_twice_from_the_same_state_gives_the_same_bits()
    {
        using var scope = TensorScope.Begin();
        float[] first = Run(), second = Run();
        Assert.Equal(first, second);
        Assert.Equal(70_001 + 64, first.Length);

        static float[] Run()
        {
            using var generator = new Generator(9);
            Parameter[] parameters = [new(randn(70_001, generator: generator)), new(randn(8, 8, generator: generator))];
            using var adam = new AdamW([("a", parameters[0]), ("b", parameters[1])], new AdamWOptions(WeightDecay: 0.1));
            for (int step = 0; step < 3; step++)
            {
                foreach (Parameter parameter in parameters)
                {
                    parameter.grad = randn(parameter.shape, generator: generator);
                }

                adam.Apply(0.01, gradientScale: 0.7);
            }

            return [.. parameters.SelectMany(parameter => parameter.detach().data<float>().ToArray())];
        }
    }

    [Fact]
    public void Constructor_refuses_weights_that_are_not_contiguous()
    {
        using var scope = TensorScope.Begin();
        var exception = Assert.Throws<InvalidOperationException>(
            () => new AdamW([("w", new Parameter(ones(2, 3).t()))], new AdamWOptions()));
        Assert.Equal(
            "Parameter 'w' of shape [3, 2] is a view with gaps or swapped axes; make it of contiguous() values.", exception.Message);
    }

    [Fact]
    public void GradientNorm_spans_all_parameters_and_skips_those_without_gradient()
    {
        using var scope = TensorScope.Begin();
        var first = new Parameter(zeros(1));
        var second = new Parameter(zeros(1, 1));
        var idle = new Parameter(ones(4));
        using var adam = new AdamW(
            [("a", first), ("b", second), ("c", idle)], new AdamWOptions(WeightDecay: 0.1) { IsDecayed = (_, _) => true });
        Assert.Equal(0, adam.GradientNorm());
        first.grad = tensor([3f]);
        second.grad = tensor([4f], 1, 1);
        Assert.Equal(5, adam.GradientNorm());
        adam.Apply(0.1, gradientScale: 1);
        Assert.Equal([1f, 1f, 1f, 1f], idle.detach().data<float>()); // as in torch: no gradient, no decay
        adam.ZeroGradients();
        Assert.Null(first.grad);
        Assert.Null(second.grad);
    }

    [Fact]
    public void OpenMoments_refuses_the_moments_of_another_model()
    {
        using var folder = new TemporaryFolder();
        using var scope = TensorScope.Begin();
        string path = folder["moments.safetensors"];
        using (var adam = new AdamW([("w", new Parameter(zeros(2)))], new AdamWOptions()))
        {
            adam.Save(path);
        }

        using var other = new AdamW([("w", new Parameter(zeros(2))), ("x", new Parameter(zeros(2)))], new AdamWOptions());
        var exception = Assert.Throws<InvalidDataException>(() => other.OpenMoments(path));
        Assert.Equal(
            $"'{path}' holds no 'exp_avg.x' of shape [2]: it belongs to another model or another choice of trained parameters.",
            exception.Message);
        Assert.Equal(0, other.Step);
    }

    [Fact]
    public void Dispose_frees_the_moments()
    {
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(zeros(2));
        var adam = new AdamW([("w", parameter)], new AdamWOptions());
        adam.Dispose();
        parameter.grad = ones(2);
        Assert.ThrowsAny<Exception>(() => adam.Apply(0.1, gradientScale: 1));
    }
}
