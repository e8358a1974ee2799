namespace Grpo.Models.Qwen.Text;

/// <summary>A token outside the byte-pair vocabulary, cut out of the text before it is split into words.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="IsSpecial">Whether decoding leaves it out; <c>&lt;tool_call&gt;</c>, for one, is added but stays in the text.</param>
/// <param name="IsNormalized">Whether it is looked for in the normalized text, in its own normalized form, and not in the raw text.</param>
internal readonly record struct AddedToken(int Id, string Content, bool IsSpecial, bool IsNormalized = false);
