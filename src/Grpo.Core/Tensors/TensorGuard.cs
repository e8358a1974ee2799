using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// Checks shapes and devices of tensors in managed code, before a native call would abort the process, broadcast or copy silently.
/// </summary>
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

    /// <summary>
    /// Requires that a tensor is on the device of another one. Elementwise operations check this themselves; products, gathers and copies
    /// do not on every device.
    /// </summary>
    /// <param name="tensor">The tensor to check. Borrowed.</param>
    /// <param name="name">The name of the tensor in the caller's signature.</param>
    /// <param name="other">The tensor whose device is required. Borrowed.</param>
    /// <exception cref="ArgumentException">The devices differ; the message names both.</exception>
    public static void RequireSameDevice(Tensor tensor, string name, Tensor other)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        ArgumentNullException.ThrowIfNull(other);
        if (tensor.device_type != other.device_type || tensor.device_index != other.device_index)
        {
            throw new ArgumentException(
                $"{name} is on {tensor.device} but must be on {other.device}. Copy it there with {nameof(DeviceTransfer)}.", name);
        }
    }
}
