namespace Grpo.Models.Qwen;

/// <summary>A token outside the byte-pair vocabulary, cut out of the raw text before anything else.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="IsSpecial">Whether decoding leaves it out; <c>&lt;tool_call&gt;</c>, for one, is added but stays in the text.</param>
internal readonly record struct AddedToken(int Id, string Content, bool IsSpecial);
