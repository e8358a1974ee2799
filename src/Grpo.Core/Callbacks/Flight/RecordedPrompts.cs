using System.Globalization;
using Grpo.Modeling;
using Microsoft.Extensions.AI;

namespace Grpo.Callbacks;

/// <summary>Lets the sampler take prompts by their recorded ids in place of their text: a prompt's message is the number of its group.</summary>
internal sealed class RecordedPrompts(ITokenizer tokenizer, IReadOnlySet<int> endTokenIds, FlightStep step) : ITokenizer, IChatTemplate
{
    public int VocabularySize => tokenizer.VocabularySize;

    public IReadOnlySet<int> EndTokenIds => endTokenIds;

    public int PadTokenId => tokenizer.PadTokenId;

    public Prompt Prompt(int group) => Grpo.Prompt.Create(step.Groups[group].PromptId, group.ToString(CultureInfo.InvariantCulture));

    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) => messages[^1].Text;

    public IReadOnlyList<int> Encode(string text) => step.Groups[int.Parse(text, CultureInfo.InvariantCulture)].PromptTokenIds;

    public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) => tokenizer.Decode(tokenIds, skipSpecialTokens);
}
