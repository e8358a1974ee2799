using Grpo.Modeling;

namespace Grpo.Callbacks;

/// <summary>What a report needs to show completions token by token. Both are borrowed and used once, at the end of the run.</summary>
/// <param name="Policy">The policy that is trained; one that gives no entropies is shown without them.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
public sealed record TokenDetails(IPolicy Policy, ITokenizer Tokenizer);
