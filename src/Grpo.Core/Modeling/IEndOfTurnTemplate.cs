namespace Grpo.Modeling;

/// <summary>Implemented by chat templates that close each message with a token of its own, such as <c>&lt;|im_end|&gt;</c>.</summary>
/// <remarks>
/// A policy that follows the template ends its answers with that token, so it is an end token of every run with the template, whatever the
/// tokenizer's files say.
/// </remarks>
public interface IEndOfTurnTemplate : IChatTemplate
{
    /// <summary>The text that closes a message. It must be exactly one token of the vocabulary.</summary>
    string EndOfTurn { get; }
}
