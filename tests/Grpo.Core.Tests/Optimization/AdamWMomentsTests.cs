using System.Globalization;
using System.Runtime.InteropServices;
using Grpo.Core.Tests.Golden;
using Grpo.Optimization;
using Grpo.Planning;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using AdamW = Grpo.Optimization.AdamW;

namespace Grpo.Core.Tests.Optimization;

/// <summary>Moments in main memory and in 8 bits, beside those in float32.</summary>
[Collection(nameof(LiveTensorTests))]
public sealed class AdamWMomentsTests
{
    // More than one piece, and neither a multiple of a block.
    private static readonly long[][] Shapes = [[(1 << 17) + 1000], [3, 5]];

    [Fact]
    public void Moments_in_main_memory_give_the_same_bits_on_the_cpu() =>
        Assert.Equal(Train(OptimizerMoments.Float32, steps: 4), Train(OptimizerMoments.Host, steps: 4));

    [Fact]
    public void Moments_that_are_brought_over_a_piece_at_a_time_give_the_same_weights()
    {
        using var scope = TensorScope.Begin();
        float[] staged = Train(parameters => new FloatMoments(parameters, inMainMemory: true) { AlwaysStages = true }, steps: 4);
        Near.Equal(Train(OptimizerMoments.Float32, steps: 4), staged, 1e-7, "weights"); // vector and scalar code round otherwise
    }

    [Fact]
    public void Moments_in_8_bits_give_the_same_bits_twice_and_nearly_the_weights_of_float32()
    {
        float[] weights = Train(OptimizerMoments.Int8, steps: 4), exact = Train(OptimizerMoments.Float32, steps: 4);
        Assert.Equal(weights, Train(OptimizerMoments.Int8, steps: 4));
        Assert.NotEqual(exact, weights);

        // 4 steps of 0.01; a rounded moment is off by a tenth at most, and by less in the mean.
        Near.Equal(exact, weights, 0.01, "weights");
        Assert.True(exact.Zip(weights, (a, b) => Math.Abs(a - b)).Average() < 0.0012);
    }

    [Theory]
    [InlineData(OptimizerMoments.Float32)]
    [InlineData(OptimizerMoments.Host)]
    [InlineData(OptimizerMoments.Int8)]
    public void A_resumed_run_equals_an_uninterrupted_one_bit_for_bit(OptimizerMoments kind)
    {
        using var folder = new TemporaryFolder();
        using var scope = TensorScope.Begin();
        float[] whole = Train(kind, steps: 5);
        Parameter[] parameters = Parameters();
        using (AdamW first = Adam(parameters, kind))
        {
            Steps(first, parameters, 0, 3);
            first.Save(folder["moments.safetensors"]);
        }

        using AdamW second = Adam(parameters, kind);
        using (SafetensorsReader file = second.OpenMoments(folder["moments.safetensors"]))
        {
            second.Load(file, step: 3);
        }

        Steps(second, parameters, 3, 2);
        Assert.Equal(whole, Weights(parameters));
    }

    [Fact]
    public void Moments_of_another_kind_are_converted()
    {
        using var folder = new TemporaryFolder();
        using var scope = TensorScope.Begin();
        string floats = Save(OptimizerMoments.Float32), bytes = Save(OptimizerMoments.Int8);
        Assert.Equal(File.ReadAllBytes(floats), File.ReadAllBytes(Convert(floats, OptimizerMoments.Host)));

        AssertNear(floats, Convert(Convert(floats, OptimizerMoments.Int8), OptimizerMoments.Float32));

        // What codes stand for has those codes again.
        Assert.Equal(File.ReadAllBytes(bytes), File.ReadAllBytes(Convert(bytes, OptimizerMoments.Int8)));
        Assert.Equal(File.ReadAllBytes(bytes), File.ReadAllBytes(Convert(Convert(bytes, OptimizerMoments.Host), OptimizerMoments.Int8)));

        static void AssertNear(string expected, string actual)
        {
            using SafetensorsReader before = SafetensorsReader.Open(expected), after = SafetensorsReader.Open(actual);
            Assert.Equal(before.Entries.Keys, after.Entries.Keys);
            foreach (string name in before.Entries.Keys)
            {
                using var one = TensorScope.BeginNoGrad();
                Tensor exact = before.Read(name);
                Tensor excess = (after.Read(name) - exact).abs() - (exact.abs() * 0.045);         // a sixteenth of an octave
                // or to 0
                Assert.True(
                    excess.max().item<float>() <= exact.abs().max().item<float>() * 2e-5f, $"{name} by {excess.max().item<float>()}");
            }
        }

        string Save(OptimizerMoments kind)
        {
            Parameter[] parameters = Parameters();
            using AdamW adam = Adam(parameters, kind);
            Steps(adam, parameters, 0, 3);
            adam.Save(folder[$"{kind}.safetensors"]);
            return folder[$"{kind}.safetensors"];
        }

        string Convert(string path, OptimizerMoments kind)
        {
            using AdamW adam = Adam(Parameters(), kind);
            using (SafetensorsReader file = adam.OpenMoments(path))
            {
                adam.Load(file, step: 3);
            }

            string converted = folder[$"{Guid.NewGuid():N}.safetensors"];
            adam.Save(converted);
            return converted;
        }
    }

    [Fact]
    public void OpenMoments_refuses_8_bits_of_another_model()
    {
        using var folder = new TemporaryFolder();
        using var scope = TensorScope.Begin();
        string path = folder["moments.safetensors"];
        using (var adam = new AdamW([("w", new Parameter(zeros(300)))], new AdamWOptions(), OptimizerMoments.Int8))
        {
            adam.Save(path);
        }

        using var other = new AdamW([("w", new Parameter(zeros(600)))], new AdamWOptions(), OptimizerMoments.Int8);
        var exception = Assert.Throws<InvalidDataException>(() => other.OpenMoments(path));
        Assert.Equal(
            $"'{path}' holds no 'exp_avg.w' of shape [600]: it belongs to another model or another choice of trained parameters.",
            exception.Message);
        File.Delete(path); // nobody holds it open
    }

    [Theory]
    [InlineData(OptimizerMoments.Float32, 512_000, 8 * 512_000)]
    [InlineData(OptimizerMoments.Host, 512_000, 8 * 512_000)]
    [InlineData(OptimizerMoments.Int8, 512_000, (2 * 512_000) + (8 * 2_000))]
    [InlineData(OptimizerMoments.Int8, 257, 2 * 2 * (256 + 4))]
    public void Moments_take_as_many_bytes_as_the_plan_says(OptimizerMoments kind, int weights, long bytes)
    {
        using var scope = TensorScope.Begin();
        using AdamWMoments moments = AdamWMoments.Create(kind, [("w", new Parameter(zeros(weights)))]);
        Assert.Equal(bytes, moments.Tensors().Sum(entry => entry.Value.numel() * entry.Value.element_size()));
        Assert.Equal(bytes, AdamWMoments.BytesOf(kind, weights));
    }

    [MemoryFact]
    public void An_update_in_8_bits_never_holds_float32_copies_of_the_moments()
    {
        const long weights = 24 << 20;                 // 192 MB of float32 moments, 48 of codes
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(ones(weights));
        using var adam = new AdamW([("w", parameter)], new AdamWOptions(), OptimizerMoments.Int8);
        parameter.grad = ones(weights);
        adam.Apply(0.1, gradientScale: 1);             // pages, scripts and threads are there from now on
        ResetPeak();
        long before = Status("VmRSS:");
        adam.Apply(0.1, gradientScale: 1);

        Assert.InRange(Status("VmHWM:") - before, long.MinValue, 40 << 20); // other tests of the process may free meanwhile
        Assert.Equal(-0.2f + 1, parameter.detach()[7].item<float>(), 0.02f);
    }

    [Fact]
    public void Steps_in_8_bits_leave_no_tensor_and_Dispose_frees_the_moments()
    {
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(zeros(1000));
        long before = Tensor.TotalCount;
        var adam = new AdamW([("w", parameter)], new AdamWOptions(), OptimizerMoments.Int8);
        Assert.Equal(before + 4, Tensor.TotalCount);   // codes and scales of both
        for (int step = 0; step < 3; step++)
        {
            using var one = TensorScope.Begin();
            parameter.grad = ones(1000);
            adam.Apply(0.1, gradientScale: 1);
            adam.ZeroGradients();
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(before + 4, Tensor.TotalCount);
        adam.Dispose();
        Assert.Equal(before, Tensor.TotalCount);
    }

    [Theory]
    [InlineData(OptimizerMoments.Float32)]
    [InlineData(OptimizerMoments.Int8)]
    public void Noisy_gradients_of_a_quadratic_lead_to_its_minimum(OptimizerMoments kind)
    {
        // ½ Σ h·(w − w*)² with h over three powers of ten, noise in every gradient, and a rate that falls to 0.
        using var scope = TensorScope.Begin();
        using var generator = new Generator(5);
        Tensor target = randn([1000], generator: generator), curvature = tensor(10f).pow(rand([1000], generator: generator) * 3 - 2);
        var parameter = new Parameter(zeros(1000));
        using var adam = new AdamW([("w", parameter)], new AdamWOptions(), kind);
        for (int step = 0; step < 1500; step++)
        {
            using var one = TensorScope.BeginNoGrad();
            Tensor noise = randn([1000], generator: generator) * 0.1;
            parameter.grad = curvature * (parameter - target + noise);
            adam.Apply(0.02 * (1 - (step / 1500.0)), gradientScale: 1);
        }

        using var end = TensorScope.BeginNoGrad();
        Assert.InRange((parameter - target).abs().max().item<float>(), 0, 0.05);
    }

    [Fact]
    public void Rare_gradients_in_8_bits_leave_the_second_moment_of_float32()
    {
        // Every hundredth gradient of one weight is large; rounded to the nearest, its second moment would only ever rise.
        (double Rare, double Usual) exact = SecondMoments(OptimizerMoments.Float32), rounded = SecondMoments(OptimizerMoments.Int8);
        Assert.InRange(exact.Rare, 0.2, 0.3); // a hundredth of 25
        Assert.InRange(rounded.Rare / exact.Rare, 0.85, 1.15);
        Assert.InRange(rounded.Usual / exact.Usual, 0.85, 1.15);

        static (double Rare, double Usual) SecondMoments(OptimizerMoments kind)
        {
            using var folder = new TemporaryFolder();
            using var scope = TensorScope.Begin();
            var parameter = new Parameter(zeros(256));
            using var adam = new AdamW([("w", parameter)], new AdamWOptions(), kind);
            for (int step = 0; step < 3000; step++)
            {
                using var one = TensorScope.BeginNoGrad();
                Tensor gradient = ones(256);
                gradient.narrow(0, 5, 1).fill_(step % 100 == 99 ? 5 : 0);
                parameter.grad = gradient;
                adam.Apply(1e-6, gradientScale: 1);
            }

            adam.Save(folder["a.safetensors"]);
            using var floats = new AdamW([("w", parameter)], new AdamWOptions());
            using (SafetensorsReader file = floats.OpenMoments(folder["a.safetensors"]))
            {
                floats.Load(file, adam.Step);
            }

            floats.Save(folder["b.safetensors"]);
            using SafetensorsReader saved = SafetensorsReader.Open(folder["b.safetensors"]);
            Tensor moments = saved.Read("exp_avg_sq.w");
            return (moments[5].item<float>(), moments[7].item<float>());
        }
    }

    [Fact]
    public void Moments_that_do_not_fit_are_refused_with_their_size_and_what_to_do()
    {
        using var scope = TensorScope.Begin();
        using var weight = new Parameter(zeros(1).expand(1L << 50));    // one number that looks like 2^50
        var error = Assert.Throws<InvalidOperationException>(() => AdamWMoments.Create(OptimizerMoments.Host, [("w", weight)]));
        Assert.Equal(
            "AdamW's moments do not fit into the memory of cpu: 9.01 PB as Host. Set OptimizerMoments to Float32 or Int8, train an adapter "
            + "in place of all weights, or take a device with more memory.",
            error.Message);
    }

    [CudaFact]
    public void On_a_gpu_moments_in_main_memory_give_the_weights_of_float32_and_8_bits_those_of_the_cpu()
    {
        var gpu = new Device(DeviceType.CUDA, 0);
        Near.Equal(Train(OptimizerMoments.Float32, steps: 4, gpu), Train(OptimizerMoments.Host, steps: 4, gpu), 1e-7, "in main memory");
        Near.Equal(
            Train(OptimizerMoments.Float32, steps: 4), Train(OptimizerMoments.Host, steps: 4, gpu), 1e-6, "in main memory, of the CPU");

        // Float32 arithmetic rounds otherwise there, which can tip a code.
        float[] here = Train(OptimizerMoments.Int8, steps: 4), there = Train(OptimizerMoments.Int8, steps: 4, gpu);
        Assert.True(here.Zip(there, (a, b) => Math.Abs(a - b)).Average() < 1e-5);
    }

    private static float[] Train(OptimizerMoments kind, int steps, Device device)
    {
        using var scope = TensorScope.Begin();
        Parameter[] parameters = [.. Parameters().Select(parameter => new Parameter(parameter.detach().to(device)))];
        using AdamW adam = Adam(parameters, kind);
        Steps(adam, parameters, 0, steps);
        return Weights([.. parameters.Select(parameter => new Parameter(parameter.detach().cpu()))]);
    }

    private static float[] Train(OptimizerMoments kind, int steps) => Train(parameters => AdamWMoments.Create(kind, parameters), steps);

    private static float[] Train(Func<IReadOnlyList<(string Name, Parameter Parameter)>, AdamWMoments> moments, int steps)
    {
        using var scope = TensorScope.Begin();
        Parameter[] parameters = Parameters();
        using var adam = new AdamW(Named(parameters), Options, moments);
        Steps(adam, parameters, 0, steps);
        return Weights(parameters);
    }

    private static AdamWOptions Options => new(WeightDecay: 0.1);

    private static AdamW Adam(Parameter[] parameters, OptimizerMoments kind) => new(Named(parameters), Options, kind);

    private static (string, Parameter)[] Named(Parameter[] parameters) => [.. parameters.Select((parameter, i) => ($"p{i}", parameter))];

    private static Parameter[] Parameters()
    {
        using var generator = new Generator(9);
        return [.. Shapes.Select(shape => new Parameter(randn(shape, generator: generator)))];
    }

    private static void Steps(AdamW adam, Parameter[] parameters, int first, int count)
    {
        for (int step = first; step < first + count; step++)
        {
            using var generator = new Generator((ulong)step + 100);
            foreach (Parameter parameter in parameters)
            {
                parameter.grad = randn(parameter.shape, generator: generator).to(parameter.device);
            }

            adam.Apply(0.01, gradientScale: 0.7);
        }
    }

    private static float[] Weights(Parameter[] parameters) =>
        [.. parameters.SelectMany(parameter => MemoryMarshal.Cast<byte, float>(parameter.detach().bytes).ToArray())];

    private static void ResetPeak() => File.WriteAllText("/proc/self/clear_refs", "5");

    private static long Status(string field) => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").Single(line => line.StartsWith(field, StringComparison.Ordinal))
            .Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2],
        CultureInfo.InvariantCulture);

    /// <summary>A fact about the memory of the process, where the system tells its peak and lets it be reset.</summary>
    private sealed class MemoryFactAttribute : FactAttribute
    {
        public MemoryFactAttribute()
        {
            try
            {
                ResetPeak();
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                Skip = $"The peak of the process cannot be measured here: {exception.Message}";
            }
        }
    }
}
