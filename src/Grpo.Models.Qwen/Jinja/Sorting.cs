namespace Grpo.Models.Qwen.Jinja;

/// <summary>Sorts as Python does: equal elements keep their order, and the comparison may fail.</summary>
internal static class Sorting
{
    /// <summary>Sorts elements by keys.</summary>
    /// <param name="run">The rendering.</param>
    /// <param name="items">The elements.</param>
    /// <param name="key">Returns the key of an element.</param>
    /// <param name="isReversed">True for descending order, in which equal elements keep their order too.</param>
    public static List<T> Sort<T>(Rendering run, IReadOnlyList<T> items, Func<T, object?> key, bool isReversed)
    {
        run.Charge(32L * items.Count);
        (object? Key, T Item)[] from = [.. items.Select(item => (key(item), item))], to = new (object?, T)[from.Length];
        for (int width = 1; width < from.Length; width *= 2)
        {
            for (int start = 0; start < from.Length; start += 2 * width)
            {
                Merge(run, from, to, (start, Math.Min(start + width, from.Length), Math.Min(start + (2 * width), from.Length)), isReversed);
            }

            (from, to) = (to, from);
        }

        return [.. from.Select(pair => pair.Item)];
    }

    private static void Merge<T>(
        Rendering run, (object? Key, T Item)[] from, (object? Key, T Item)[] to, (int Start, int Middle, int End) range, bool isReversed)
    {
        (int left, int right) = (range.Start, range.Middle);
        for (int i = range.Start; i < range.End; i++)
        {
            bool takesRight = left >= range.Middle || (right < range.End && (isReversed
                ? Comparisons.Order(run, from[left].Key, from[right].Key) < 0
                : Comparisons.Order(run, from[right].Key, from[left].Key) < 0));
            to[i] = takesRight ? from[right++] : from[left++];
        }
    }
}
