using Microsoft.Extensions.AI;

namespace Grpo;

/// <summary>One task for the policy: a conversation to continue and, for rewards that need it, the expected answer.</summary>
public sealed record Prompt
{
    /// <summary>Unique within the data set and stable between runs: the random numbers of a rollout are derived from it.</summary>
    public required string Id { get; init; }

    /// <summary>The conversation so far; the chat template turns it into text.</summary>
    public required IReadOnlyList<ChatMessage> Messages { get; init; }

    /// <summary>The expected answer, in the form in which the reward function reads it. Null when the reward needs none.</summary>
    public string? Answer { get; init; }

    /// <summary>Anything else that a reward function or a report wants to know (difficulty, source, unit …).</summary>
    public IReadOnlyDictionary<string, string> Fields { get; init; } = NoFields;

    private static readonly IReadOnlyDictionary<string, string> NoFields = new Dictionary<string, string>();

    /// <summary>A prompt of one user message, after a system message when <paramref name="system"/> is given.</summary>
    /// <param name="id">See <see cref="Id"/>.</param>
    /// <param name="user">What the user says.</param>
    /// <param name="answer">See <see cref="Answer"/>.</param>
    /// <param name="system">The system message, or null for none.</param>
    public static Prompt Create(string id, string user, string? answer = null, string? system = null) => new()
    {
        Id = id,
        Messages = system is null
            ? [new ChatMessage(ChatRole.User, user)]
            : [new ChatMessage(ChatRole.System, system), new ChatMessage(ChatRole.User, user)],
        Answer = answer,
    };
}
