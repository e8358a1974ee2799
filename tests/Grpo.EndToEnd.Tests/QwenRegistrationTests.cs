using Grpo.Modeling;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Testing;
using Grpo.Training;
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
        Assert.All(qwen.Policy.Model.parameters(), parameter => Assert.True(parameter.IsInvalid));
    }

    [Fact]
    public void UseQwen_with_an_adapter_trains_that_alone_and_takes_the_base_as_reference()
    {
        var services = new ServiceCollection();
        services.AddGrpo()
            .UseQwen(SampleProcess.TinyModel, new QwenLoadOptions { Lora = new LoraOptions { Rank = 2 }, WithReference = true });
        using ServiceProvider provider = services.BuildServiceProvider();

        // 4 layers, 7 projections, A and B.
        Assert.Equal(56, provider.GetRequiredService<IPolicy>().TrainedParameters().Count);
        Assert.IsType<AdapterOffReference>(provider.GetRequiredService<IReferenceModel>());
    }

    // The checkpoint's own template cannot be interpreted, so loading it depends on the one that the application gives.
    [Theory]
    [InlineData("option")]
    [InlineData("before")]
    [InlineData("after")]
    public void UseQwen_takes_the_template_of_the_application(string where)
    {
        using TemporaryFolder folder = TinyWithOddTemplate();
        var template = new QwenChatTemplate("of the application");
        var services = new ServiceCollection();
        if (where == "before")
        {
            services.AddSingleton<IChatTemplate>(template);
        }

        services.AddGrpo().UseQwen(folder.Path, new QwenLoadOptions { ChatTemplate = where == "option" ? template : null });
        if (where == "after")
        {
            services.AddSingleton<IChatTemplate>(template);
        }

        using ServiceProvider provider = services.BuildServiceProvider();
        Assert.Same(template, provider.GetRequiredService<QwenPretrained>().ChatTemplate);
        Assert.Same(template, provider.GetRequiredService<IChatTemplate>());
    }

    [Fact]
    public void UseQwen_refuses_a_template_it_cannot_interpret()
    {
        using TemporaryFolder folder = TinyWithOddTemplate();
        var services = new ServiceCollection();
        services.AddGrpo().UseQwen(folder.Path);
        using ServiceProvider provider = services.BuildServiceProvider();
        Assert.Contains(
            "Pass an IChatTemplate", Assert.Throws<InvalidDataException>(() => provider.GetRequiredService<IGroupSampler>()).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void UseQwen_refuses_two_templates()
    {
        var services = new ServiceCollection();
        services.AddSingleton<IChatTemplate>(new QwenChatTemplate("one"));
        services.AddGrpo().UseQwen(SampleProcess.TinyModel, new QwenLoadOptions { ChatTemplate = new QwenChatTemplate("two") });
        using ServiceProvider provider = services.BuildServiceProvider();
        Assert.Contains(
            "Give one.", Assert.Throws<InvalidOperationException>(() => provider.GetRequiredService<QwenPretrained>()).Message,
            StringComparison.Ordinal);
    }

    private static TemporaryFolder TinyWithOddTemplate()
    {
        var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(SampleProcess.TinyModel))
        {
            File.Copy(file, folder[Path.GetFileName(file)]);
        }

        File.WriteAllText(folder["chat_template.jinja"], "{% include 'header.jinja' %}");
        return folder;
    }

    [Fact]
    public void UseQwen_refuses_dropout()
    {
        GrpoBuilder builder = new ServiceCollection().AddGrpo();
        string message = Assert.Throws<ArgumentException>(
            () => builder.UseQwen(SampleProcess.TinyModel, new QwenLoadOptions { Lora = new LoraOptions { Dropout = 0.05 } })).Message;
        Assert.StartsWith(
            "Lora.Dropout is 0.05, but GRPO needs the log-probs of the model that sampled", message, StringComparison.Ordinal);
    }
}
