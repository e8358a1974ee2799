using System.Diagnostics.CodeAnalysis;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Training;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Grpo.DependencyInjection;

/// <summary>Chooses the plug-ins of a training run. Everything is registered as a singleton.</summary>
public sealed class GrpoBuilder
{
    internal GrpoBuilder(IServiceCollection services) => Services = services;

    /// <summary>The services that are being configured.</summary>
    public IServiceCollection Services { get; }

    /// <summary>The model to train.</summary>
    /// <param name="create">Creates it; the container disposes it.</param>
    public GrpoBuilder UsePolicy(Func<IServiceProvider, IPolicy> create) => Replace(create);

    /// <summary>The frozen model of the KL term.</summary>
    /// <param name="create">Creates it; the container disposes it.</param>
    public GrpoBuilder UseReference(Func<IServiceProvider, IReferenceModel> create) => Replace(create);

    /// <summary>Another sampler than <see cref="PolicyGroupSampler"/>.</summary>
    /// <param name="create">Creates it.</param>
    public GrpoBuilder UseSampler(Func<IServiceProvider, IGroupSampler> create) => Replace(create);

    /// <summary>The training prompts.</summary>
    /// <param name="load">Loads them, once.</param>
    public GrpoBuilder UsePrompts(Func<IServiceProvider, IReadOnlyList<Prompt>> load) => Replace(provider => new PromptSource(load(provider)));

    /// <summary>Measures the policy during training.</summary>
    /// <param name="create">Creates it.</param>
    public GrpoBuilder UseEvaluator(Func<IServiceProvider, IEvaluator> create) => Replace(create);

    /// <summary>Keeps checkpoints.</summary>
    /// <param name="create">Creates it.</param>
    public GrpoBuilder UseCheckpoints(Func<IServiceProvider, ICheckpointStore> create) => Replace(create);

    /// <summary>Adds a reward; several are summed by weight.</summary>
    /// <typeparam name="TReward">The reward; its constructor may ask for services.</typeparam>
    /// <param name="weight">Its weight.</param>
    public GrpoBuilder AddReward<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] TReward>(double weight = 1)
        where TReward : class, IRewardFunction
    {
        Services.AddSingleton(provider => new WeightedReward(ActivatorUtilities.CreateInstance<TReward>(provider), weight));
        return this;
    }

    /// <summary>Adds a reward that exists already; several are summed by weight.</summary>
    /// <param name="reward">The reward.</param>
    /// <param name="weight">Its weight.</param>
    public GrpoBuilder AddReward(IRewardFunction reward, double weight = 1)
    {
        ArgumentNullException.ThrowIfNull(reward);
        Services.AddSingleton(new WeightedReward(reward, weight));
        return this;
    }

    /// <summary>Follows the run.</summary>
    /// <typeparam name="TCallback">The callback; its constructor may ask for services.</typeparam>
    public GrpoBuilder AddCallback<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] TCallback>()
        where TCallback : class, ITrainingCallback
    {
        Services.AddSingleton<ITrainingCallback, TCallback>();
        return this;
    }

    /// <summary>Puts a description of the task into every checkpoint.</summary>
    /// <param name="task">How prompts are written, and in which form they are answered.</param>
    public GrpoBuilder UseTask(TaskDescription task)
    {
        ArgumentNullException.ThrowIfNull(task);
        return Replace(_ => task);
    }

    /// <summary>Adds <see cref="GrpoTrainer"/>.</summary>
    /// <param name="configure">Changes its options.</param>
    public GrpoBuilder AddTrainer(Action<TrainerOptions>? configure = null)
    {
        Services.AddOptions<TrainerOptions>().Configure(configure ?? (_ => { }));
        Services.TryAddSingleton(provider => new GrpoTrainer(
            provider.GetRequiredService<GrpoOptimizer>(),
            GrpoServiceCollectionExtensions.Required<PromptSource>(provider, "prompts: call UsePrompts").Prompts,
            provider.GetRequiredService<IOptions<TrainerOptions>>().Value,
            new TrainerServices
            {
                Evaluator = provider.GetService<IEvaluator>(),
                Checkpoints = provider.GetService<ICheckpointStore>(),
                Task = provider.GetService<TaskDescription>(),
                Callbacks = [.. provider.GetServices<ITrainingCallback>()],
            },
            provider.GetService<ILogger<GrpoTrainer>>()));
        return this;
    }

    private GrpoBuilder Replace<T>(Func<IServiceProvider, T> create)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(create);
        Services.Replace(ServiceDescriptor.Singleton(create));
        return this;
    }
}
