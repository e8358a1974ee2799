using Grpo.Scoring;

namespace Grpo;

/// <summary>How rewards are computed.</summary>
public sealed record RewardOptions : IReflectedOptions
{
    /// <summary>What a failing reward function does to the step.</summary>
    /// <value>Default <see cref="RewardErrorHandling.Throw"/>.</value>
    public RewardErrorHandling OnError { get; set; } = RewardErrorHandling.Throw;

    /// <summary>Longest time to wait for the rewards of one group; then it is an error like any other. Null: no limit.</summary>
    /// <value>Above zero and at most 24 days, or null; default 10 minutes, so that a reward that hangs does not hang the run.</value>
    public TimeSpan? Timeout { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Groups that wait for their rewards at the same time. Rewards that need no waiting run one after the other, whatever this says.
    /// </summary>
    /// <value>1 to 1024; default 8.</value>
    public int MaxConcurrency { get; set; } = 8;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Names the property, its value and its range.</exception>
    public void Validate()
    {
        Require(Enum.IsDefined(OnError), nameof(OnError), OnError, "Throw or Abstain");
        bool timeoutIsUsable = Timeout is null || (Timeout > TimeSpan.Zero && Timeout <= TimeSpan.FromDays(24));
        Require(timeoutIsUsable, nameof(Timeout), Timeout, "above zero and at most 24 days, or null");
        Require(MaxConcurrency is >= 1 and <= 1024, nameof(MaxConcurrency), MaxConcurrency, "1 to 1024");
    }

    private static void Require(bool condition, string name, object? value, string allowed)
    {
        if (!condition)
        {
            throw new ArgumentOutOfRangeException(name, value, $"RewardOptions.{name} must be {allowed}.");
        }
    }
}
