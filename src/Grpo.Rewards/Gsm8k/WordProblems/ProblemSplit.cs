namespace Grpo.Rewards;

/// <summary>The part of the word problems to draw from. A hash of the question decides the part, so no question is in both.</summary>
public enum ProblemSplit
{
    /// <summary>Seven questions in eight.</summary>
    Train,

    /// <summary>One question in eight.</summary>
    Test,
}
