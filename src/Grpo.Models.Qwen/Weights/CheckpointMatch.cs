using Grpo.IO;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Weights;

/// <summary>A comparison of a checkpoint's tensors with the expected ones that lists every difference.</summary>
/// <param name="entries">The tensors of the checkpoint.</param>
internal sealed class CheckpointMatch(IReadOnlyDictionary<string, SafetensorsEntry> entries)
{
    // Enough for every tensor of a real model. Bounds the message if a file invents names.
    private const int MaxListed = 1_000;

    private readonly List<string> _missing = [];
    private readonly List<string> _misshaped = [];
    private readonly List<string> _mistyped = [];
    private readonly HashSet<string> _expected = new(StringComparer.Ordinal);

    /// <summary>Requires a tensor of a shape and of any floating-point type.</summary>
    internal void Require(string name, long[] shape)
    {
        _expected.Add(name);
        if (!entries.TryGetValue(name, out SafetensorsEntry? entry))
        {
            _missing.Add($"{name} [{string.Join(", ", shape)}]");
        }
        else if (!entry.Shape.SequenceEqual(shape))
        {
            _misshaped.Add($"{name} is [{string.Join(", ", entry.Shape)}] but must be [{string.Join(", ", shape)}]");
        }
        else if (entry.DType is not (ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16 or ScalarType.Float64))
        {
            _mistyped.Add($"{name} is {entry.DType} but must be a floating-point type");
        }
    }

    /// <summary>Allows a tensor to be missing. If it is present, its shape and type must be right.</summary>
    internal void Allow(string name, long[] shape)
    {
        if (entries.ContainsKey(name))
        {
            Require(name, shape);
        }
    }

    /// <summary>Ends the comparison.</summary>
    /// <param name="title">The first line of the message.</param>
    /// <param name="mayBePresent">Returns true for a tensor that is not required but harmless; null allows none.</param>
    /// <exception cref="InvalidDataException">The tensors differ; the message lists every difference.</exception>
    internal void ThrowIfAny(string title, Func<string, bool>? mayBePresent = null)
    {
        List<string> unexpected =
        [
            .. entries.Keys.Where(name => !_expected.Contains(name) && mayBePresent?.Invoke(name) != true).Order(StringComparer.Ordinal),
        ];
        if (_missing.Count + _misshaped.Count + _mistyped.Count + unexpected.Count > 0)
        {
            throw new InvalidDataException(string.Concat(
                title, List("missing", _missing), List("unexpected", [.. unexpected.Select(TerminalText.EscapeLine)]),
                List("wrong shape", _misshaped), List("wrong type", _mistyped)));
        }
    }

    private static string List(string what, List<string> tensors)
    {
        if (tensors.Count == 0)
        {
            return "";
        }

        string rest = tensors.Count > MaxListed ? $"\n- and {tensors.Count - MaxListed} more" : "";
        return $"\n{what} ({tensors.Count}):\n- {string.Join("\n- ", tensors.Take(MaxListed))}{rest}";
    }
}
