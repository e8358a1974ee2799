using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;
using AdamW = Grpo.Optimization.AdamW;

namespace Grpo.Core.Tests.Optimization;

/// <summary>Against torch.optim with clip_grad_norm_ (golden/optim.json).</summary>
public sealed class AdamWGoldenTests
{
    [SharedFact]
    public void Apply_equals_torch_over_clipped_steps()
    {
        int ran = 0;
        foreach (JsonElement item in GoldenFile.Read("optim.json").Items("adamw_cases"))
        {
            Run(item, $"case {ran++}");
        }
    }

    private static void Run(JsonElement item, string what)
    {
        using var scope = TensorScope.Begin();
        JsonElement config = item.GetProperty("config");
        (string Name, Parameter Parameter)[] parameters =
            [.. item.GetProperty("initial").EnumerateObject().Select(entry => (entry.Name, new Parameter(Matrix(entry.Value))))];
        using var adam = new AdamW(parameters, Options(config));
        IReadOnlyList<JsonElement> steps = item.Items("steps");
        for (int step = 0; step < steps.Count; step++)
        {
            JsonElement expected = steps[step];
            foreach ((string name, Parameter parameter) in parameters)
            {
                parameter.grad = Matrix(item.GetProperty("gradients")[step].GetProperty(name));
            }

            double norm = adam.GradientNorm();
            Near.Equal(expected.GetProperty("grad_norm_before_clip").Number(), norm, 1e-5, $"{what}, norm of step {step}");
            double learningRate = Rate(config, step);
            Near.Equal(expected.GetProperty("lr").Number(), learningRate, 1e-10, $"{what}, rate of step {step}");
            double? limit = config.GetProperty("max_grad_norm").NumberOrNull();
            adam.Apply(learningRate, limit is null ? 1 : Math.Min(1, limit.Value / (norm + 1e-6)));
            adam.ZeroGradients();

            Assert.Equal(step + 1, adam.Step);
            foreach ((string name, Parameter parameter) in parameters)
            {
                float[] actual = [.. parameter.detach().data<float>()];
                Near.Equal(expected.GetProperty("params").GetProperty(name).Floats(), actual, 1e-5, $"{what}, {name} after step {step}");
            }
        }
    }

    private static AdamWOptions Options(JsonElement config)
    {
        string[] exempt = config.TryGetProperty("no_decay", out JsonElement names)
            ? [.. names.EnumerateArray().Select(name => name.GetString()!)]
            : [];
        return new AdamWOptions(
            config.GetProperty("betas")[0].GetDouble(), config.GetProperty("betas")[1].GetDouble(),
            config.GetProperty("eps").GetDouble(), config.GetProperty("weight_decay").GetDouble())
        {
            IsDecayed = (name, _) => !exempt.Contains(name),
        };
    }

    private static double Rate(JsonElement config, int step)
    {
        double peak = config.GetProperty("lr").GetDouble();
        return config.TryGetProperty("schedule", out JsonElement schedule)
            ? LearningRate.At(
                schedule.GetString() == "cosine_with_warmup" ? LearningRateSchedule.Cosine : throw new InvalidDataException(
                    $"Schedule {schedule}?"),
                peak, step, config.GetProperty("warmup").GetInt64(), config.GetProperty("total").GetInt64())
            : peak;
    }

    private static Tensor Matrix(JsonElement values) => tensor(values.Floats(), values.Shape());
}
