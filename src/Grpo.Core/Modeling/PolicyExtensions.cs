using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>What follows from a policy's module.</summary>
public static class PolicyExtensions
{
    /// <summary>The device of the policy's first parameter; batches for it are built there.</summary>
    /// <param name="policy">The policy.</param>
    /// <exception cref="InvalidOperationException">The module has no parameters.</exception>
    public static Device Device(this IPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return policy.Module.parameters().FirstOrDefault()?.device
            ?? throw new InvalidOperationException(
                $"The module of {policy.GetType().Name} has no parameters. Was it disposed, or did its "
                + "constructor not call RegisterComponents()?");
    }

    /// <summary>The parameters that are trained, with their names, in a fixed order.</summary>
    /// <param name="policy">The policy.</param>
    public static IReadOnlyList<(string Name, TorchSharp.Modules.Parameter Parameter)> TrainedParameters(this IPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return [.. policy.Module.named_parameters().Where(pair => pair.parameter.requires_grad)
            .Select(pair => (pair.name, pair.parameter))];
    }
}
