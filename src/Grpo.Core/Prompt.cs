using Microsoft.Extensions.AI;

namespace Grpo;

/// <summary>A task for the policy: a conversation to continue and, for rewards that need it, the expected answer.</summary>
public sealed record Prompt
{
    /// <summary>
    /// The id of the prompt, unique within the data set and stable between runs. The random numbers of a rollout depend on it.
    /// </summary>
    public required string Id { get; init; }

    /// <summary>The conversation so far. The chat template turns it into text.</summary>
    public required IReadOnlyList<ChatMessage> Messages { get; init; }

    /// <summary>The expected answer, in the form that the reward function reads. Null if the reward needs none.</summary>
    public string? Answer { get; init; }

    /// <summary>Further facts by name for a reward function or a report, such as difficulty, source or unit. Empty by default.</summary>
    public IReadOnlyDictionary<string, string> Fields { get; init; } = NoFields;

    private static readonly IReadOnlyDictionary<string, string> NoFields = new Dictionary<string, string>();

    /// <summary>Creates a prompt of one user message, after a system message if <paramref name="system"/> is given.</summary>
    /// <param name="id">The id of the prompt, unique within the data set.</param>
    /// <param name="user">The text of the user message.</param>
    /// <param name="answer">The expected answer, or null if the reward needs none.</param>
    /// <param name="system">The text of the system message, or null for none.</param>
    public static Prompt Create(string id, string user, string? answer = null, string? system = null) => new()
    {
        Id = id,
        Messages = system is null
            ? [new ChatMessage(ChatRole.User, user)]
            : [new ChatMessage(ChatRole.System, system), new ChatMessage(ChatRole.User, user)],
        Answer = answer,
    };
}
