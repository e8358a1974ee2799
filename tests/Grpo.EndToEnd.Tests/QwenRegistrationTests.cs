using Grpo.Models.Qwen;
using Grpo.Rewards;
using Microsoft.Extensions.DependencyInjection;

namespace Grpo.EndToEnd.Tests;

/// <summary>The same run by dependency injection.</summary>
public sealed class QwenRegistrationTests
{
    [Fact]
    public async Task UseQwen_registers_everything_a_run_needs_and_the_container_frees_it()
    {
        var services = new ServiceCollection();
        services.AddGrpo(options =>
            {
                options.GroupSize = 2;
                options.PromptsPerStep = 1;
                options.KlCoefficient = 0.04;
                options.Sampling.MaxCompletionTokens = 8;
            })
            .UseQwen(SampleProcess.TinyModel, withReference: true)
            .UsePrompts(_ => WordProblems.Generate(new WordProblemOptions { Count = 4 }).ToPrompts())
            .AddReward<Gsm8kReward>()
            .AddReward<FormatReward>(weight: 0.1)
            .AddTrainer(trainer => trainer.Steps = 2);

        QwenPretrained qwen;
        using (ServiceProvider provider = services.BuildServiceProvider())
        {
            qwen = provider.GetRequiredService<QwenPretrained>();
            TrainingSummary summary = await provider.GetRequiredService<GrpoTrainer>().TrainAsync();
            Assert.Equal(2, summary.Steps);
            Assert.Same(qwen.Policy, provider.GetRequiredService<IPolicy>());
        }

        // Container and QwenPretrained both dispose the models: that must be harmless, and must have happened.
        Assert.All(qwen.Policy.Module.parameters(), parameter => Assert.True(parameter.IsInvalid));
    }

    [Fact]
    public void UseQwen_with_an_adapter_trains_that_alone_and_takes_the_base_as_reference()
    {
        var services = new ServiceCollection();
        services.AddGrpo().UseQwen(SampleProcess.TinyModel, new QwenLoadOptions { Lora = new LoraOptions { Rank = 2 }, WithReference = true });
        using ServiceProvider provider = services.BuildServiceProvider();

        // 4 layers, 7 projections, A and B.
        Assert.Equal(56, provider.GetRequiredService<IPolicy>().TrainedParameters().Count);
        Assert.IsType<AdapterOffReference>(provider.GetRequiredService<IReferenceModel>());
    }

    [Fact]
    public void UseQwen_refuses_dropout()
    {
        GrpoBuilder builder = new ServiceCollection().AddGrpo();
        string message = Assert.Throws<ArgumentException>(
            () => builder.UseQwen(SampleProcess.TinyModel, new QwenLoadOptions { Lora = new LoraOptions { Dropout = 0.05 } })).Message;
        Assert.StartsWith("Lora.Dropout is 0.05, but GRPO needs the log-probs of the model that sampled", message, StringComparison.Ordinal);
    }
}
