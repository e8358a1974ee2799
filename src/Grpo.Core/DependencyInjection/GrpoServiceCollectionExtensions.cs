using Grpo.Modeling;
using Grpo.Optimization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Grpo;

/// <summary>Extension methods that register GRPO with Microsoft.Extensions.DependencyInjection.</summary>
public static class GrpoServiceCollectionExtensions
{
    /// <summary>Adds a <see cref="GrpoOptimizer"/> and its options.</summary>
    /// <param name="services">The services to add to.</param>
    /// <param name="configure">The function that changes the options, which are validated on first use. Null for the defaults.</param>
    /// <returns>A builder that adds the plug-ins.</returns>
    public static GrpoBuilder AddGrpo(this IServiceCollection services, Action<GrpoOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        services.AddOptions<GrpoOptions>().Configure(configure ?? (_ => { }));
        services.TryAddSingleton<IValidateOptions<GrpoOptions>, GrpoOptionsValidator>();
        services.TryAddSingleton<IRewardFunction>(CombineRewards);
        services.TryAddSingleton<IGroupSampler>(provider => new PolicyGroupSampler(
            Required<ITokenizer>(provider, "a tokenizer (UseQwen registers one)"),
            Required<IChatTemplate>(provider, "a chat template (UseQwen registers one)"),
            provider.GetService<ILogger<PolicyGroupSampler>>()));
        services.TryAddSingleton(provider => new GrpoOptimizer(
            new GrpoPlugIns(
                Required<IPolicy>(provider, "a policy: call UsePolicy, or UseQwen of Grpo.Models.Qwen"),
                provider.GetRequiredService<IGroupSampler>(),
                provider.GetRequiredService<IRewardFunction>())
            {
                Reference = provider.GetService<IReferenceModel>(),
            },
            provider.GetRequiredService<IOptions<GrpoOptions>>().Value,
            provider.GetService<ILogger<GrpoOptimizer>>()));
        return new GrpoBuilder(services);
    }

    internal static T Required<T>(IServiceProvider provider, string what)
        where T : class =>
        provider.GetService<T>() ?? throw new InvalidOperationException($"GRPO needs {what}.");

    private static IRewardFunction CombineRewards(IServiceProvider provider)
    {
        GrpoBuilder.WeightedReward[] rewards = [.. provider.GetServices<GrpoBuilder.WeightedReward>()];
        return rewards switch
        {
            [] => throw new InvalidOperationException("GRPO needs a reward: call AddReward at least once."),
            [{ Weight: 1 } only] => only.Reward,
            _ => RewardFunction.WeightedSum([.. rewards.Select(reward => (reward.Reward, reward.Weight))]),
        };
    }
}
