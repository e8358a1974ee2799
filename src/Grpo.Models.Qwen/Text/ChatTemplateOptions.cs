using System.Text.Json.Nodes;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen;

/// <summary>The arguments that a chat template gets beside the messages, as in <c>apply_chat_template</c> of transformers.</summary>
public sealed record ChatTemplateOptions
{
    /// <summary>
    /// The argument <c>enable_thinking</c> of templates such as Qwen3's: false asks for an answer without thoughts. Null leaves it out, so
    /// that the template's own default holds.
    /// </summary>
    /// <value>Default null.</value>
    public bool? EnableThinking { get; init; }

    /// <summary>Further arguments by name, as JSON values. A template ignores arguments that it does not use.</summary>
    /// <value>Default empty.</value>
    public IReadOnlyDictionary<string, JsonNode?> Arguments { get; init; } = new Dictionary<string, JsonNode?>();

    /// <summary>The tools that every conversation offers. Each must be an <see cref="AIFunctionDeclaration"/>.</summary>
    /// <value>Default empty: the template gets no tools.</value>
    public IReadOnlyList<AITool> Tools { get; init; } = [];

    /// <summary>
    /// The texts of the special tokens by the names that templates use, such as <c>bos_token</c>. When a checkpoint is loaded, its own are
    /// used if this is null.
    /// </summary>
    /// <value>Default null.</value>
    public IReadOnlyDictionary<string, string>? SpecialTokens { get; init; }

    /// <summary>The clock of templates that write the date.</summary>
    /// <value>Default <see cref="TimeProvider.System"/>.</value>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}
