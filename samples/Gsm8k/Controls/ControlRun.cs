using Grpo.Callbacks;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>One of the runs that are held against each other: the default run with one thing changed.</summary>
/// <param name="Name">How the command line calls it.</param>
/// <param name="Change">What is changed, in words.</param>
internal sealed record ControlRun(string Name, string Change)
{
    /// <summary>The method of this preset; null: the default one.</summary>
    public string? Preset { get; init; }

    /// <summary>The learning rate is multiplied by this.</summary>
    public double LearningRateFactor { get; init; } = 1;

    /// <summary>Evaluates this often; null: as the settings say.</summary>
    public long? EvaluateEvery { get; init; }

    /// <summary>The reward that is trained on, made of the real one and the run's seed; null: the real one.</summary>
    public Func<IRewardFunction, ulong, IRewardFunction>? Reward { get; init; }

    /// <summary>The runs that must not learn, and the one that must.</summary>
    public static IReadOnlyList<ControlRun> Controls { get; } =
    [
        new("real", "nothing"),
        new("learning-rate-0", "learning rate 0") { LearningRateFactor = 0 },
        new("random-reward", "a coin in place of the reward") { Reward = (_, seed) => new RandomReward(seed) },
        new("shuffled-reward", "the real rewards, shuffled within each group") { Reward = (real, seed) => new ShuffledReward(real, seed) },
        new("format-reward", "paid for the form alone") { Reward = (_, _) => new FormatReward() },
        new("collapse", "learning rate x 20, to see it fail") { LearningRateFactor = 20, EvaluateEvery = 5 },
    ];

    /// <summary>The run of a name: one of <see cref="Controls"/>, or a preset.</summary>
    /// <exception cref="ArgumentException">There is neither.</exception>
    public static ControlRun Find(string name) =>
        Controls.FirstOrDefault(run => run.Name == name)
        ?? (GrpoPresets.Names.Contains(name)
            ? new ControlRun(name, $"the method of preset {name}") { Preset = name }
            : throw new ArgumentException(
                $"There is no run '{name}'; the runs are {string.Join(", ", Controls.Select(run => run.Name).Concat(GrpoPresets.Names))}.", nameof(name)));
}
