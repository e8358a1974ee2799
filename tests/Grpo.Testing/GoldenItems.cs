using System.Text.Json;

namespace Grpo.Testing;

/// <summary>
/// Reads the cases of a file of reference data. Their number and names are the file's: another set of the same layout has others.
/// </summary>
public static class GoldenItems
{
    /// <summary>Returns the items of an array of a file.</summary>
    /// <param name="parent">The object that holds the array.</param>
    /// <param name="name">The name of the array.</param>
    /// <exception cref="InvalidDataException">It has no items: a test over none would pass and show nothing.</exception>
    public static IReadOnlyList<JsonElement> Items(this JsonElement parent, string name) =>
        AtLeastOne(parent.GetProperty(name).EnumerateArray(), name);

    /// <summary>Returns a list of what a file holds.</summary>
    /// <param name="items">The items.</param>
    /// <param name="what">Their name, for the message.</param>
    /// <exception cref="InvalidDataException">There are none.</exception>
    public static IReadOnlyList<T> AtLeastOne<T>(IEnumerable<T> items, string what)
    {
        T[] list = [.. items];
        return list.Length > 0 ? list : throw new InvalidDataException($"The reference data has no {what}: this test would show nothing.");
    }
}
