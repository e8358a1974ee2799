using Grpo.Rollouts;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Rollouts;

/// <summary>Sampling on tensors, here on a CPU, equals sampling in CPU memory for the same uniform numbers.</summary>
public sealed class DeviceTokenSamplerTests
{
    private const int Rows = 64;
    private const int Vocabulary = 1000;

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.7)]
    [InlineData(1.0)]
    public void Sample_equals_the_CPU_sampler(double temperature)
    {
        using var scope = TensorScope.Begin();
        float[] values = Logits();
        double[] uniforms = [.. Enumerable.Range(0, Rows).Select(row => CounterRandom.Uniform(7, row))];
        SampledToken[] actual = DeviceTokenSampler.Sample(tensor(values, Rows, Vocabulary), temperature, uniforms);
        Assert.Equal(Rows, actual.Length);
        for (int row = 0; row < Rows; row++)
        {
            ReadOnlySpan<float> logits = values.AsSpan(row * Vocabulary, Vocabulary);
            SampledToken expected = temperature == 0
                ? CpuTokenSampler.Greedy(logits)
                : CpuTokenSampler.Sample(logits, temperature, uniforms[row]);
            Assert.Equal(expected.Id, actual[row].Id);
            Assert.Equal(expected.LogProb, actual[row].LogProb, 2e-5f);
            Assert.Equal(expected.Entropy, actual[row].Entropy, 2e-5f);
        }
    }

    [Fact]
    public void Sample_never_returns_a_dropped_token()
    {
        using var scope = TensorScope.Begin();
        float[] row = [float.NegativeInfinity, 1, float.NegativeInfinity, 2, float.NegativeInfinity];
        double[] uniforms = [0, 0.2689, 0.2690, 0.5, 0.99999999999999988]; // softmax(1, 2) = 0.26894, 0.73106
        Tensor logits = tensor(row).expand(uniforms.Length, 5);
        SampledToken[] tokens = DeviceTokenSampler.Sample(logits, 1, uniforms);
        Assert.Equal([1, 1, 3, 3, 3], tokens.Select(token => token.Id));
        Assert.All(tokens, token => Assert.Equal(0.582203f, token.Entropy, 1e-5f));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Sample_refuses_a_row_that_is_not_finite(float poison)
    {
        using var scope = TensorScope.Begin();
        Tensor logits = tensor([1, 2, poison, 1], 2, 2);
        foreach (double temperature in new[] { 0.0, 1.0 })
        {
            var exception = Assert.Throws<TrainingDivergedException>(() => DeviceTokenSampler.Sample(logits, temperature, [0.5, 0.5]));
            Assert.StartsWith("The logits of row 1 hold NaN or ∞", exception.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Pick_accepts_logits_of_sixteen_bits()
    {
        using var scope = TensorScope.Begin();
        SampledToken[] tokens = DeviceTokenSampler.Sample(tensor([0f, 4f, 1f, 0f], 2, 2).to(ScalarType.BFloat16), 0, []);
        Assert.Equal([1, 0], tokens.Select(token => token.Id));
    }

    private static float[] Logits()
    {
        var random = new Random(3);
        return [.. Enumerable.Range(0, Rows * Vocabulary).Select(_ => (float)((random.NextDouble() * 8) - 4))];
    }
}
