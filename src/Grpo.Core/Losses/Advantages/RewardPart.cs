namespace Grpo.Losses;

/// <summary>One reward of a weighted sum, over the completions of a group.</summary>
/// <param name="Name">The reward's name.</param>
/// <param name="Weight">Its weight in the sum, finite.</param>
/// <param name="Values">Its own values, before the weight, one per completion, finite; null where it abstains.</param>
public sealed record RewardPart(string Name, double Weight, IReadOnlyList<double?> Values);
