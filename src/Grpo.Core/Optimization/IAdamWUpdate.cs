namespace Grpo.Optimization;

/// <summary>A part of an optimizer step that is prepared: what needs memory has it.</summary>
internal interface IAdamWUpdate
{
    /// <summary>Changes weights and moments. To be called once, in the scope in which the update was prepared.</summary>
    void Apply();
}
