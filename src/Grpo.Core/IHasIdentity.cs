namespace Grpo;

/// <summary>
/// Implemented by plug-ins that can say more about themselves than the name of their type: a policy, a reference, a sampler, a tokenizer,
/// a chat template, a reward or an evaluator.
/// </summary>
/// <remarks>
/// A checkpoint holds the identity of every plug-in of its run, and a run that resumes is compared with it. A plug-in without this
/// interface is known by its type. The weights of a policy and of a reference, and the name of a reward, are added to either.
/// </remarks>
public interface IHasIdentity
{
    /// <summary>
    /// Everything about the plug-in that changes the numbers of a run: settings, parts, the name of a remote model. The device, the
    /// number of threads and everything else that belongs to the machine stay out of it.
    /// </summary>
    /// <value>The same facts for the same plug-in in every process.</value>
    PlugInIdentity Identity { get; }
}
