using Grpo.Modeling;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace Grpo.Core.Tests.DependencyInjection;

public sealed class GrpoBuilderTests
{
    [Fact]
    public async Task AddGrpo_wires_a_run_from_its_parts()
    {
        var log = new List<string>();
        using ServiceProvider provider = Parts(new ServiceCollection()).Services
            .AddSingleton<ITrainingCallback>(new Training.RecordingCallback(log))
            .BuildServiceProvider(validateScopes: true);
        var trainer = provider.GetRequiredService<GrpoTrainer>();
        TrainingSummary summary = await trainer.TrainAsync();
        Assert.Equal(2, summary.Steps);
        Assert.Equal(["start 0 to 2", "step 1", "step 2", "end 2"], log);
        Assert.Equal(6, provider.GetRequiredService<GrpoOptimizer>().Options.GroupSize);
    }

    [Fact]
    public async Task AddReward_sums_several_by_weight()
    {
        using ServiceProvider provider = Parts(new ServiceCollection()).AddReward(new Toy.TestReward((_, _) => 3), weight: 0.5).Services
            .BuildServiceProvider();
        var reward = provider.GetRequiredService<IRewardFunction>();
        IReadOnlyList<Reward> rewards = await reward.ScoreAsync(Toy.Group(Toy.Prompts[0], "ab", "bb"));
        Assert.Equal([2.0, 1.5], rewards.Select(item => item.Value)); // 1·½ + 0.5·3, 1·0 + 0.5·3
    }

    [Fact]
    public void UseSampler_and_its_like_replace_what_was_there()
    {
        var sampler = new FixedSampler();
        using BigramPolicy other = Toy.Policy();
        using ServiceProvider provider = Parts(new ServiceCollection()).UseSampler(_ => sampler).UsePolicy(_ => other).Services
            .BuildServiceProvider();
        Assert.Same(sampler, provider.GetRequiredService<IGroupSampler>());
        Assert.Same(other, provider.GetRequiredService<GrpoOptimizer>().Policy);
    }

    [Fact]
    public void A_missing_part_is_named()
    {
        using ServiceProvider empty = new ServiceCollection().AddGrpo().AddTrainer().Services.BuildServiceProvider();
        Assert.Equal("GRPO needs a policy: call UsePolicy, or UseQwen of Grpo.Models.Qwen.", Error<GrpoTrainer>(empty));
        Assert.Equal("GRPO needs a reward: call AddReward at least once.", Error<IRewardFunction>(empty));
        Assert.Equal("GRPO needs a tokenizer (UseQwen registers one).", Error<IGroupSampler>(empty));
    }

    [Fact]
    public void Options_out_of_range_are_refused_when_first_used()
    {
        using ServiceProvider provider = Parts(new ServiceCollection(), options => options.GroupSize = 1).Services.BuildServiceProvider();
        var exception = Assert.Throws<OptionsValidationException>(() => provider.GetRequiredService<GrpoOptimizer>());
        Assert.Contains("GroupSize is 1 but must be 2 to 1024", exception.Message, StringComparison.Ordinal);
    }

    private static string Error<T>(ServiceProvider provider)
        where T : notnull => Assert.Throws<InvalidOperationException>(() => provider.GetRequiredService<T>()).Message;

    private static GrpoBuilder Parts(ServiceCollection services, Action<GrpoOptions>? configure = null)
    {
        services.AddSingleton<ITokenizer>(Toy.Tokenizer);
        services.AddSingleton<IChatTemplate>(new PlainTemplate());
        return services.AddGrpo(options =>
            {
                GrpoOptions toy = Toy.Options;
                (options.GroupSize, options.PromptsPerStep, options.Sampling) = (toy.GroupSize, toy.PromptsPerStep, toy.Sampling);
                configure?.Invoke(options);
            })
            .UsePolicy(_ => Toy.Policy())
            .UsePrompts(_ => Toy.Prompts)
            .AddReward<Toy.LetterReward>()
            .AddTrainer(options => options.Steps = 2);
    }
}
