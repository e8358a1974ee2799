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
}
