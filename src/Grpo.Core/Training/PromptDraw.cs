namespace Grpo.Training;

/// <summary>The prompts chosen for a step. Nothing has changed yet: a step that fails is drawn again the same.</summary>
internal sealed record PromptDraw
{
    /// <summary>The prompts, by index.</summary>
    public required IReadOnlyList<int> Indices { get; init; }

    /// <summary>Prompts for dynamic sampling, by index, in their order.</summary>
    public required IReadOnlyList<int> Reserve { get; init; }

    /// <summary>How many turns of which prompt were passed over.</summary>
    public IReadOnlyDictionary<int, int> Skipped { get; init; } = new Dictionary<int, int>();

    /// <summary>How many of the prompts were passed over first and taken for want of others.</summary>
    public int Filled { get; init; }

    /// <summary>Where the next step goes on in the order.</summary>
    public long NextPosition { get; init; }
}
