using Grpo.Scoring;

namespace Grpo;

/// <summary>The options for calling reward functions: reaction to errors, time limit and concurrency.</summary>
public sealed record RewardOptions : IReflectedOptions
{
    /// <summary>The reaction to a reward function that fails.</summary>
    /// <value>Default <see cref="RewardErrorHandling.Throw"/>.</value>
    public RewardErrorHandling OnError { get; set; } = RewardErrorHandling.Throw;

    /// <summary>The time limit for scoring one group. Exceeding it counts as an error of the reward function. Null for no limit.</summary>
    /// <value>
    /// Above zero and at most 24 days, or null; default 10 minutes, so that a reward function that hangs does not hang the run.
    /// </value>
    public TimeSpan? Timeout { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// The number of groups whose reward functions may await something at the same time. Without an await, groups are scored one after the
    /// other.
    /// </summary>
    /// <value>1 to 1024; default 8.</value>
    public int MaxConcurrency { get; set; } = 8;

    /// <summary>Checks that every value is in its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A value is outside its range. The message names the property and its range.
    /// </exception>
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
