namespace Grpo.Training;

/// <summary>What a trainer does when <see cref="CollapseGuard"/> finds that the policy has collapsed.</summary>
public enum CollapseAction
{
    /// <summary>Says so, and goes on.</summary>
    Continue,

    /// <summary>Ends the run as after its last step.</summary>
    Stop,

    /// <summary>Puts the best checkpoint's weights and moments back and goes on with the next step's prompts.</summary>
    RollBack,
}
