using System.Reflection;

namespace Grpo.Testing;

/// <summary>Runs the tests of a class on another set of reference data, as the test runner runs them on the first.</summary>
public static class GoldenRun
{
    /// <summary>Runs every <see cref="SharedFactAttribute"/> and every row of every <see cref="SharedTheoryAttribute"/>.</summary>
    /// <param name="type">The class.</param>
    /// <param name="failures">Receives name and first line of each failure.</param>
    /// <returns>The number of tests that ran.</returns>
    public static async Task<int> RunAsync(Type type, ICollection<string> failures)
    {
        int ran = 0;
        foreach (MethodInfo method in type.GetMethods())
        {
            foreach (object?[] row in RowsOf(method))
            {
                ran++;
                object? instance = null;
                try
                {
                    instance = Activator.CreateInstance(type);
                    if (method.Invoke(instance, row) is Task task)
                    {
                        await task;
                    }
                }
                catch (Exception exception)
                {
                    Exception cause = exception is TargetInvocationException { InnerException: { } inner } ? inner : exception;
                    failures.Add($"{type.Name}.{method.Name}({string.Join(", ", row)}): {cause.Message.Split('\n')[0]}");
                }
                finally
                {
                    (instance as IDisposable)?.Dispose();
                }
            }
        }

        return ran;
    }

    private static IEnumerable<object?[]> RowsOf(MethodInfo method)
    {
        if (method.GetCustomAttribute<SharedFactAttribute>() is not null)
        {
            return [[]];
        }

        return method.GetCustomAttribute<SharedTheoryAttribute>() is null ? []
            : method.GetCustomAttributes<Xunit.Sdk.DataAttribute>().SelectMany(data => data.GetData(method));
    }
}
