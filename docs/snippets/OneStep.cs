namespace Grpo.Snippets;

/// <summary>algorithm.md: the stages of a step.</summary>
public static class OneStep
{
    public static async Task<IReadOnlyList<UpdateReport>> RunAsync(
        GrpoOptimizer optimizer, IReadOnlyList<Prompt> prompts, CancellationToken cancellationToken)
    {
        IReadOnlyList<RolloutGroup> groups = await optimizer.RolloutAsync(prompts, cancellationToken);   // G completions per prompt
        ScoredStep scored = await optimizer.ScoreAsync(groups, cancellationToken);                       // rewards, then advantages
        IReadOnlyList<UpdateReport> updates = optimizer.Update(scored, cancellationToken);               // loss, gradient, AdamW
        return updates;
    }
}
