using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Checks tensor shapes in managed code, before a native call would abort the process or broadcast silently.</summary>
public static class TensorGuard
{
    /// <summary>Requires that a tensor has an exact shape.</summary>
    /// <param name="tensor">The tensor to check.</param>
    /// <param name="name">The name of the tensor in the caller's signature.</param>
    /// <param name="axes">The names of the axes, such as "[B, C]".</param>
    /// <param name="expected">The required sizes. -1 accepts any size on that axis.</param>
    /// <exception cref="ArgumentException">The shape differs; the message names both shapes.</exception>
    public static void Require(Tensor tensor, string name, string axes, params ReadOnlySpan<long> expected)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        long[] actual = tensor.shape;
        bool matches = actual.Length == expected.Length;
        for (int i = 0; matches && i < actual.Length; i++)
        {
            matches = expected[i] == -1 || expected[i] == actual[i];
        }

        if (!matches)
        {
            string wanted = string.Join(", ", expected.ToArray()
                .Select(size => size == -1 ? "any" : size.ToString(System.Globalization.CultureInfo.InvariantCulture)));
            throw new ArgumentException($"{name} must be {axes} = [{wanted}] but is [{string.Join(", ", actual)}].", name);
        }
    }
}
