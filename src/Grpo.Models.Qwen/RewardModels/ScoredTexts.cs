using System.Text;
using Grpo.Modeling;
using Grpo.Models.Qwen.Text;
using Microsoft.Extensions.AI;

namespace Grpo.Models.Qwen.RewardModels;

/// <summary>Renders a prompt with its completion in the reward model's own chat template, and encodes the text.</summary>
/// <remarks>
/// The completion is the text of another model. If it spells a special token, such as <c>&lt;|im_end|&gt;</c>, these characters stay
/// characters: else the completion could end its own message and write the next one. Other added tokens, such as <c>&lt;think&gt;</c>, are
/// recognized.
/// </remarks>
internal sealed class ScoredTexts
{
    private const char FirstMark = '\uE000', LastMark = '\uF8FF'; // characters for private use, which no template treats in a special way

    private readonly QwenTokenizer _tokenizer;
    private readonly IChatTemplate _template;
    private readonly AddedTokenFinder _added;
    private readonly AddedTokenFinder? _special;

    /// <param name="tokenizer">The tokenizer of the reward model.</param>
    /// <param name="template">The chat template of the reward model.</param>
    internal ScoredTexts(QwenTokenizer tokenizer, IChatTemplate template)
    {
        _tokenizer = tokenizer;
        _template = template;
        AddedToken[] added = [.. tokenizer.AddedTokens.Select(entry => new AddedToken(entry.Value, entry.Key, IsSpecial(entry.Value)))];
        _added = new AddedTokenFinder(added);
        AddedToken[] special = [.. added.Where(token => token.IsSpecial)];
        _special = special.Length == 0 ? null : new AddedTokenFinder(special);

        bool IsSpecial(int id) => tokenizer.Decode([id]).Length == 0;
    }

    /// <summary>Returns the ids of the conversation with the completion as the assistant's answer.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="completion">The text of the completion.</param>
    /// <exception cref="InvalidOperationException">The template returned no text.</exception>
    internal IReadOnlyList<int> Encode(Prompt prompt, string completion)
    {
        (string marked, Dictionary<char, string> marks) = Mark(prompt, completion);
        string text = _template.Render(
            [.. prompt.Messages, new ChatMessage(ChatRole.Assistant, marked)], addGenerationPrompt: false)
            ?? throw new InvalidOperationException($"{_template.GetType().Name}.Render returned null; it must return a text.");
        return marks.Count == 0 ? _tokenizer.Encode(text) : EncodeMarked(text, marks);
    }

    // Replaces each special token that the completion spells by a character that occurs nowhere else.
    private (string Text, Dictionary<char, string> Marks) Mark(Prompt prompt, string completion)
    {
        var marks = new Dictionary<char, string>();
        if (_special is null || !_special.TryFind(completion, out _, out _, out _))
        {
            return (completion, marks);
        }

        HashSet<char> used = [.. prompt.Messages.SelectMany(message => message.Text).Concat(completion).Where(IsMark)];
        char next = FirstMark;
        var charOf = new Dictionary<string, char>(StringComparer.Ordinal);
        var text = new StringBuilder();
        int position = 0;
        while (_special.TryFind(completion.AsSpan(position), out int start, out int length, out _))
        {
            string token = completion.Substring(position + start, length);
            if (!charOf.TryGetValue(token, out char mark))
            {
                while (used.Contains(next))
                {
                    next++;
                }

                if (!IsMark(next))
                {
                    throw new InvalidOperationException(
                        "The completion uses every character for private use and spells special tokens too, so it cannot be encoded.");
                }

                charOf[token] = mark = next++;
                marks[mark] = token;
            }

            text.Append(completion, position, start).Append(mark);
            position += start + length;
        }

        return (text.Append(completion, position, completion.Length - position).ToString(), marks);

        static bool IsMark(char letter) => letter is >= FirstMark and <= LastMark;
    }

    // Added tokens divide a text into spans that are encoded apart. A span with marks gets back what the completion spelled.
    private List<int> EncodeMarked(string text, Dictionary<char, string> marks)
    {
        var ids = new List<int>();
        int position = 0;
        while (_added.TryFind(text.AsSpan(position), out int start, out int length, out int id))
        {
            ids.AddRange(EncodeSpan(text.Substring(position, start)));
            ids.Add(id);
            position += start + length;
        }

        ids.AddRange(EncodeSpan(text[position..]));
        return ids;

        IReadOnlyList<int> EncodeSpan(string span)
        {
            if (!span.Any(marks.ContainsKey))
            {
                return _tokenizer.Encode(span);
            }

            var original = new StringBuilder();
            foreach (char letter in span)
            {
                _ = marks.TryGetValue(letter, out string? token) ? original.Append(token) : original.Append(letter);
            }

            return _tokenizer.EncodeUntrusted(original.ToString());
        }
    }
}
