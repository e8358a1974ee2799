using System.Diagnostics.CodeAnalysis;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Training;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Grpo;

/// <summary>A builder that registers the plug-ins of a training run as singletons.</summary>
public sealed class GrpoBuilder
{
    internal GrpoBuilder(IServiceCollection services) => Services = services;

    /// <summary>The services that are being configured.</summary>
    public IServiceCollection Services { get; }

    /// <summary>Registers the policy, the model to train.</summary>
    /// <param name="create">The function that creates the policy. The container disposes it.</param>
    public GrpoBuilder UsePolicy(Func<IServiceProvider, IPolicy> create) => Replace(create);

    /// <summary>Registers the reference model, the frozen model of the KL term.</summary>
    /// <param name="create">The function that creates the reference model. The container disposes it.</param>
    public GrpoBuilder UseReference(Func<IServiceProvider, IReferenceModel> create) => Replace(create);

    /// <summary>Registers a sampler in place of <see cref="PolicyGroupSampler"/>.</summary>
    /// <param name="create">The function that creates the sampler.</param>
    public GrpoBuilder UseSampler(Func<IServiceProvider, IGroupSampler> create) => Replace(create);

    /// <summary>Registers the training prompts.</summary>
    /// <param name="load">The function that loads the prompts. It is called once.</param>
    public GrpoBuilder UsePrompts(Func<IServiceProvider, IReadOnlyList<Prompt>> load) =>
        Replace(provider => new PromptSource(load(provider)));

    /// <summary>Registers an evaluator, which measures the policy during training.</summary>
    /// <param name="create">The function that creates the evaluator.</param>
    public GrpoBuilder UseEvaluator(Func<IServiceProvider, IEvaluator> create) => Replace(create);

    /// <summary>Registers a checkpoint store.</summary>
    /// <param name="create">The function that creates the store.</param>
    public GrpoBuilder UseCheckpoints(Func<IServiceProvider, ICheckpointStore> create) => Replace(create);

    /// <summary>Adds a reward by type. Several rewards are combined to a weighted sum.</summary>
    /// <typeparam name="TReward">The type of the reward. Its constructor may take services.</typeparam>
    /// <param name="weight">The weight of the reward in the sum.</param>
    public GrpoBuilder AddReward<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] TReward>(double weight = 1)
        where TReward : class, IRewardFunction
    {
        Services.AddSingleton(provider => new WeightedReward(ActivatorUtilities.CreateInstance<TReward>(provider), weight));
        return this;
    }

    /// <summary>Adds an existing reward. Several rewards are combined to a weighted sum.</summary>
    /// <param name="reward">The reward.</param>
    /// <param name="weight">The weight of the reward in the sum.</param>
    public GrpoBuilder AddReward(IRewardFunction reward, double weight = 1)
    {
        ArgumentNullException.ThrowIfNull(reward);
        Services.AddSingleton(new WeightedReward(reward, weight));
        return this;
    }

    /// <summary>Adds a reward that a function creates from the services. Several rewards are combined to a weighted sum.</summary>
    /// <param name="create">
    /// The function that creates the reward. The container does not dispose it; register a reward to dispose as a service of its own.
    /// </param>
    /// <param name="weight">The weight of the reward in the sum.</param>
    public GrpoBuilder AddReward(Func<IServiceProvider, IRewardFunction> create, double weight = 1)
    {
        ArgumentNullException.ThrowIfNull(create);
        Services.AddSingleton(provider => new WeightedReward(create(provider), weight));
        return this;
    }

    /// <summary>Adds a callback, which the trainer notifies of the course of the run.</summary>
    /// <typeparam name="TCallback">The type of the callback. Its constructor may take services.</typeparam>
    public GrpoBuilder AddCallback<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] TCallback>()
        where TCallback : class, ITrainingCallback
    {
        Services.AddSingleton<ITrainingCallback, TCallback>();
        return this;
    }

    /// <summary>Registers the description of the task, which is stored in every checkpoint.</summary>
    /// <param name="task">The description: the form of the prompts and of their answers.</param>
    public GrpoBuilder UseTask(TaskDescription task)
    {
        ArgumentNullException.ThrowIfNull(task);
        return Replace(_ => task);
    }

    /// <summary>Adds a <see cref="GrpoTrainer"/>.</summary>
    /// <param name="configure">The function that changes the options of the trainer. Null for the defaults.</param>
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

    /// <summary>The registered training prompts. A wrapper, because a plain list would clash with other lists in the container.</summary>
    internal sealed record PromptSource(IReadOnlyList<Prompt> Prompts);

    /// <summary>A registered reward and its weight in the sum.</summary>
    internal sealed record WeightedReward(IRewardFunction Reward, double Weight);
}
