using System.Reflection;
using System.Runtime.CompilerServices;
using Grpo.Modeling;
using Microsoft.Extensions.Logging;
using TorchSharp;

namespace Grpo.Core.Tests.Architecture;

/// <summary>The two principles that decide every signature, and no hidden state.</summary>
public sealed class PrinciplesTests
{
    private const BindingFlags Everything =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    private static Assembly Core => typeof(GrpoOptimizer).Assembly;

    [Fact]
    public void No_interface_mentions_both_tensors_and_tasks()
    {
        Type[] interfaces = [.. Core.GetTypes().Where(type => type.IsInterface)];
        Assert.Contains(typeof(IPolicy), interfaces);
        Assert.Contains(typeof(IRewardFunction), interfaces);
        foreach (Type type in interfaces)
        {
            Type[] mentioned = [.. type.GetMethods(Everything).SelectMany(Signature).SelectMany(Parts)];
            Assert.False(
                mentioned.Any(IsTensor) && mentioned.Any(IsTask),
                $"{type.Name} mentions both a tensor and a task: tensors are synchronous, managed data is asynchronous.");
        }

        Assert.Contains(interfaces, type => type.GetMethods().SelectMany(Signature).SelectMany(Parts).Any(IsTensor));
        Assert.Contains(interfaces, type => type.GetMethods().SelectMany(Signature).SelectMany(Parts).Any(IsTask));
    }

    [Fact]
    public void No_asynchronous_method_takes_or_returns_a_tensor()
    {
        MethodInfo[] methods =
        [
            .. Core.GetTypes().SelectMany(type => type.GetMethods(Everything))
                .Where(method => method.IsDefined(typeof(AsyncStateMachineAttribute))
                    || method.IsDefined(typeof(AsyncIteratorStateMachineAttribute)) || Parts(method.ReturnType).Any(IsTask)),
        ];
        Assert.Contains(methods, method => method.Name == nameof(GrpoOptimizer.StepAsync));
        Assert.All(methods, method => Assert.False(
            Signature(method).SelectMany(Parts).Any(IsTensor),
            $"{method.DeclaringType}.{method.Name} is asynchronous and mentions a tensor."));
    }

    [Fact]
    public void No_asynchronous_method_keeps_a_tensor_across_an_await()
    {
        // What lives across an await or a yield becomes a field of the state machine.
        Type[] machines =
            [.. Core.GetTypes().Where(type => type.GetInterfaces().Any(contract => contract == typeof(IAsyncStateMachine)))];
        Assert.NotEmpty(machines);
        Assert.All(machines.SelectMany(machine => machine.GetFields(Everything)), field => Assert.False(
            Parts(field.FieldType).Any(IsTensor), $"{field.DeclaringType} keeps the tensor {field.Name} across an await."));
    }

    [Fact]
    public void Every_log_event_has_an_id_of_its_own()
    {
        int[] ids =
        [
            .. Core.GetTypes().SelectMany(type => type.GetMethods(Everything))
                .Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()?.EventId).OfType<int>(),
        ];
        Assert.NotEmpty(ids);
        Assert.Empty(ids.GroupBy(id => id).Where(same => same.Count() > 1).Select(same => same.Key));
    }

    [Fact]
    public void No_mutable_static_is_public()
    {
        foreach (Type type in Core.GetExportedTypes())
        {
            Assert.All(type.GetFields(BindingFlags.Public | BindingFlags.Static), field => Assert.True(
                field.IsInitOnly || field.IsLiteral, $"{type.Name}.{field.Name} can be set by anybody."));
            Assert.All(type.GetProperties(BindingFlags.Public | BindingFlags.Static), property => Assert.False(
                property.SetMethod?.IsPublic ?? false, $"{type.Name}.{property.Name} can be set by anybody."));
        }
    }

    [Fact]
    public void Public_classes_are_sealed_static_or_meant_for_derivation()
    {
        Type[] open = [.. Core.GetExportedTypes().Where(type => type is { IsClass: true, IsSealed: false, IsAbstract: false })];
        Assert.Empty(open.Select(type => type.FullName));
    }

    [Fact]
    public void Core_references_no_model_and_no_reward()
    {
        Assert.DoesNotContain(Core.GetReferencedAssemblies(), name => name.Name!.StartsWith("Grpo", StringComparison.Ordinal));
    }

    private static IEnumerable<Type> Signature(MethodInfo method) =>
        method.GetParameters().Select(parameter => parameter.ParameterType).Append(method.ReturnType);

    // The type itself, what it is an array or a reference of, and what it is generic over.
    private static IEnumerable<Type> Parts(Type type)
    {
        IEnumerable<Type> inner = type.HasElementType ? [type.GetElementType()!] : type.GetGenericArguments();
        return inner.SelectMany(Parts).Prepend(type);
    }

    private static bool IsTensor(Type type) =>
        typeof(torch.Tensor).IsAssignableFrom(type) || type == typeof(TokenBatch)
            || type.Name is "LossInputs" or "LossResult" or "TensorScope";

    private static bool IsTask(Type type) =>
        typeof(Task).IsAssignableFrom(type) || type == typeof(ValueTask)
        || (type.IsGenericType
            && (type.GetGenericTypeDefinition() == typeof(ValueTask<>) || type.GetGenericTypeDefinition() == typeof(IAsyncEnumerable<>)));
}
