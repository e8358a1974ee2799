namespace Grpo.Callbacks;

/// <summary>What became of a completion in the updates of its step.</summary>
public enum FlightPart
{
    /// <summary>It was run through the policy and had a gradient: its mask is 1 on each of its tokens.</summary>
    Trained,

    /// <summary>It has no gradient, for want of an advantage or of tokens: it counts in the denominators of the loss and was not run.</summary>
    Counted,

    /// <summary>It was cut at the length limit and is left out of the loss (<see cref="GrpoOptions.MaskTruncatedCompletions"/>).</summary>
    LeftOut,

    /// <summary>Its group teaches nothing and was replaced by another (<see cref="GrpoOptions.MaxSamplingRounds"/>).</summary>
    Replaced,
}
