using Grpo.Models.Qwen.Weights;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>One of the runs that are compared with each other: the default run with one change.</summary>
/// <param name="Name">The name of the run on the command line.</param>
/// <param name="Change">The change in words.</param>
internal sealed record ControlRun(string Name, string Change)
{
    /// <summary>The preset whose method the run uses, or null for the default method.</summary>
    public string? Preset { get; init; }

    /// <summary>The factor that multiplies the learning rate.</summary>
    public double LearningRateFactor { get; init; } = 1;

    /// <summary>The number of steps between evaluations, or null for that of the settings.</summary>
    public long? EvaluateEvery { get; init; }

    /// <summary>Creates the reward to train on from the real one and the run's seed. Null to train on the real one.</summary>
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

    /// <summary>Multiplies the learning rate by the factor. An unset rate is first replaced by the default for what is trained.</summary>
    /// <param name="settings">The settings of the run.</param>
    public void ScaleLearningRate(Settings settings)
    {
        if (LearningRateFactor == 1)
        {
            return; // an unset rate stays unset
        }

        bool trainsAdapter = settings.Run.LoraRank is not null
            || (settings.Run.Model is { Length: > 0 } model && LoraAdapterFiles.IsAdapter(model));
        settings.Grpo.LearningRate = settings.Grpo.ChooseLearningRate(trainsAdapter).Rate * LearningRateFactor;
    }

    /// <summary>Finds the run with a name: one of <see cref="Controls"/>, or a preset.</summary>
    /// <exception cref="ArgumentException">Neither a run nor a preset has this name.</exception>
    public static ControlRun Find(string name) =>
        Controls.FirstOrDefault(run => run.Name == name)
        ?? (GrpoPresets.Names.Contains(name)
            ? new ControlRun(name, $"the method of preset {name}") { Preset = name }
            : throw new ArgumentException(
                $"There is no run '{name}'; the runs are {string.Join(", ", Controls.Select(run => run.Name).Concat(GrpoPresets.Names))}.",
                nameof(name)));
}
