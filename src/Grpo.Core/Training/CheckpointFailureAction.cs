namespace Grpo.Training;

/// <summary>What a checkpoint that cannot be written does to a run.</summary>
public enum CheckpointFailureAction
{
    /// <summary>The run ends with the error; the earlier checkpoints are as they were.</summary>
    Stop,

    /// <summary>
    /// The error is logged and told in the next step's report, and the run goes on to the next checkpoint that is due. The last one of a
    /// run is an error all the same: nothing would be left of what came after the one before.
    /// </summary>
    Continue,
}
