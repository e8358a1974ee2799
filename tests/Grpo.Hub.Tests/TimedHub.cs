namespace Grpo.Hub.Tests;

/// <summary>Tests with a server of their own and time limits: other tests that use every core would let them run out.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class TimedHub
{
    public const string Name = "Hub";
}
