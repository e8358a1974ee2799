namespace Grpo.Planning;

/// <summary>When memory is held.</summary>
public enum MemoryPhase
{
    /// <summary>From the beginning of the run to its end.</summary>
    Always,

    /// <summary>While completions are sampled.</summary>
    Rollout,

    /// <summary>While the policy is trained on them.</summary>
    Update,
}
