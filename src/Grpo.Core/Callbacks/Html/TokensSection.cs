namespace Grpo.Callbacks;

/// <summary>Completions of the first and the last step token by token, coloured by what training saw in each.</summary>
internal static class TokensSection
{
    private const int MaxTokens = 400;
    private const int MaxCharacters = 4000;

    public static void Write(HtmlWriter page, RunHistory history, TokenDetails? details)
    {
        page.Write($"""<section aria-labelledby="tokens"><h2 id="tokens">Token by token</h2>""");
        if (history.FirstGroups.Count == 0)
        {
            page.Write($"""<p class="missing">No step of this run had a group with a signal: every group's completions were worth the same.</p></section>{"\n"}""");
            return;
        }

        page.Write($"""<p class="lead">The groups whose rewards differ most, in the first and in the last step that had a signal; of each the completions with the highest and the lowest advantages.</p>""");
        if (details is null)
        {
            page.Write($"""<p class="missing">The report was given no policy and tokenizer, so each completion is coloured whole, by its advantage.</p><div class="tokens">""");
        }
        else
        {
            WriteViews(page);
        }

        foreach (ShownGroup group in history.FirstGroups.Concat(history.LastGroups))
        {
            WriteGroup(page, group, details, history.Start?.Options.Sampling.Temperature ?? 1);
        }

        page.Write($"</div></section>\n");
    }

    private static void WriteViews(HtmlWriter page)
    {
        page.Write($"""
            <div class="tokens">
            <input type="radio" name="view" id="by-advantage" checked="checked"/><label for="by-advantage">Advantage</label>
            <input type="radio" name="view" id="by-ratio"/><label for="by-ratio">Ratio</label>
            <input type="radio" name="view" id="by-entropy"/><label for="by-entropy">Entropy</label>
            <p class="help help-advantage"><span class="t ap3">Blue</span> completions did better than their group and were made more probable, <span class="t an3">orange</span> ones did worse and were made less probable; deeper is more.</p>
            <p class="help help-ratio"><span class="t rp3">Blue</span> tokens are more probable under the policy at the end of the run than when they were sampled, <span class="t rn3">orange</span> ones less; deeper is more, plain is within 5 %.</p>
            <p class="help help-entropy">The deeper the <span class="t e3">violet</span>, the less sure the policy at the end of the run is of what comes at this place; plain places are all but certain.</p>
            """);
    }

    private static void WriteGroup(HtmlWriter page, ShownGroup group, TokenDetails? details, double temperature)
    {
        page.Write($"""<article class="card group"><p class="eyebrow">Step {Numbers.Count(group.Step)} · {group.Completions.Count} of {group.Size} completions</p>""");
        CompletionsSection.WritePrompt(page, group.Prompt);
        IReadOnlyList<int>[] ids = [.. group.Completions.Select(shown => shown.Completion.TokenIds.Take(MaxTokens).ToArray())];
        IReadOnlyList<TokenNumbers>? numbers = details is null || temperature <= 0 || ids.All(row => row.Count == 0)
            ? null
            : TokenNumbers.Read(details, group.PromptTokenIds, ids, temperature);
        page.Write($"""<div class="sides">""");
        for (int i = 0; i < group.Completions.Count; i++)
        {
            ShownCompletion shown = group.Completions[i];
            page.Write($"""<div class="side"><h3>Advantage {Numbers.Signed(shown.Advantage)} """);
            CompletionsSection.WriteVerdict(page, shown.Reward);
            page.Write($"""</h3><div class="text" dir="auto">""");
            if (details is null)
            {
                page.Write($"""<span class="t {TokenColors.Advantage(shown.Advantage)}">{HtmlText.Cut(shown.Completion.Text, MaxCharacters)}</span>""");
            }
            else
            {
                WriteTokens(page, shown, ids[i], TokenPieces.Of(details.Tokenizer, ids[i]), numbers?[i]);
            }

            page.Write($"</div></div>");
        }

        page.Write($"</div></article>");
    }

    private static void WriteTokens(HtmlWriter page, ShownCompletion shown, IReadOnlyList<int> ids, IReadOnlyList<string> pieces, TokenNumbers? numbers)
    {
        string advantage = TokenColors.Advantage(shown.Advantage);
        for (int t = 0; t < ids.Count; t++)
        {
            double? ratio = numbers is not null && shown.Completion.LogProbs is { } sampled && t < sampled.Count ? Math.Exp(numbers.LogProbs[t] - sampled[t]) : null;
            double? entropy = numbers?.Entropies?[t];
            string piece = pieces[t].Length == 0 ? "·" : pieces[t].Replace("\n", "↵\n", StringComparison.Ordinal);
            page.Write($"""<span class="t {advantage} {TokenColors.Ratio(ratio)} {TokenColors.Entropy(entropy)}" title="advantage {Numbers.Signed(shown.Advantage)}, ratio {Numbers.Show(ratio)}, entropy {Numbers.Show(entropy)}">{piece}</span>""");
        }

        if (shown.Completion.TokenIds.Count > ids.Count)
        {
            page.Write($""" <span class="note">… and {Numbers.Count(shown.Completion.TokenIds.Count - ids.Count)} more tokens</span>""");
        }
    }
}
