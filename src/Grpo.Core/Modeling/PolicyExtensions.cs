using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>Extension methods that read the device and the trained parameters from a policy's module.</summary>
public static class PolicyExtensions
{
    /// <summary>Returns the device of the policy's first parameter. Batches for the policy are built on it.</summary>
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

    /// <summary>Returns the trained parameters, which have <c>requires_grad</c>, with their names in a fixed order.</summary>
    /// <param name="policy">The policy.</param>
    public static IReadOnlyList<(string Name, TorchSharp.Modules.Parameter Parameter)> TrainedParameters(this IPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return [.. policy.Module.named_parameters().Where(pair => pair.parameter.requires_grad)
            .Select(pair => (pair.name, pair.parameter))];
    }

    /// <summary>True if the policy trains only an adapter.</summary>
    internal static bool TrainsAdapter(this IPolicy policy) => policy is IAdapterPolicy { TrainsAdapter: true };
}
