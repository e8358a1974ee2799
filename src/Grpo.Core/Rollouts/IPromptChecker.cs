namespace Grpo.Rollouts;

/// <summary>Implemented by samplers that can tell, without sampling, which prompts they would refuse.</summary>
/// <remarks>Trainer and evaluator call it in their constructors, so that a prompt that is too long fails before the first step.</remarks>
public interface IPromptChecker
{
    /// <summary>Throws if <see cref="IGroupSampler.SampleAsync"/> would refuse any of the prompts.</summary>
    /// <param name="prompts">The prompts, such as a whole data set.</param>
    /// <param name="sampling">The sampling options with the limits.</param>
    /// <exception cref="ArgumentException">Prompts are refused. The message says how many, which ones, and what to do.</exception>
    void CheckPrompts(IReadOnlyList<Prompt> prompts, SamplingOptions sampling);
}
