using System.Globalization;
using Grpo.IO;
using Microsoft.Extensions.AI;

namespace Grpo;

/// <summary>Describes data sets by short texts that are equal only for equal prompts in an equal order.</summary>
internal static class PromptText
{
    /// <summary>
    /// Describes prompts by their number, ids, answers and messages, without their fields (<see cref="DescribeFields"/>).
    /// </summary>
    public static string Describe(IReadOnlyList<Prompt> prompts) => Describe(prompts.Count, "prompts", prompts.SelectMany(Texts));

    /// <summary>Describes a data set by the number of its items and a hash of their texts.</summary>
    /// <param name="count">The number of items.</param>
    /// <param name="what">The plural of an item, such as "prompts".</param>
    /// <param name="texts">The texts of all items, in order.</param>
    public static string Describe(int count, string what, IEnumerable<string> texts) =>
        string.Create(CultureInfo.InvariantCulture, $"{count} {what}, SHA-256 {TextHash.Short(texts)}");

    /// <summary>Describes the fields of prompts, which a reward may read; null if no prompt has one.</summary>
    public static string? DescribeFields(IReadOnlyList<Prompt> prompts) =>
        prompts.All(prompt => prompt.Fields.Count == 0) ? null : $"SHA-256 {TextHash.Short(prompts.SelectMany(Fields))}";

    private static IEnumerable<string> Fields(Prompt prompt)
    {
        yield return prompt.Fields.Count.ToString(CultureInfo.InvariantCulture);
        foreach ((string name, string value) in prompt.Fields.OrderBy(field => field.Key, StringComparer.Ordinal))
        {
            yield return name;
            yield return value;
        }
    }

    /// <summary>Returns the id, the answer and the messages of a prompt.</summary>
    public static IEnumerable<string> Texts(Prompt prompt)
    {
        yield return prompt.Id;
        yield return prompt.Answer ?? string.Empty;
        foreach (ChatMessage message in prompt.Messages)
        {
            yield return message.Role.Value;
            yield return message.Text;
        }
    }
}
