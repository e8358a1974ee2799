using Grpo.Callbacks;

namespace Grpo.Planning;

/// <summary>A model that is set up to need less memory than another.</summary>
/// <param name="Change">What is changed, and at what price, in a few words: "gradient checkpointing (…)".</param>
/// <param name="Model">The model with the change.</param>
public sealed record LeanerModel(string Change, IMemoryModel Model);
