using Grpo.Modeling;

namespace Grpo.Callbacks;

/// <summary>Writes the section with completions of the first and last step, each token colored by advantage, ratio or entropy.</summary>
internal static class TokensSection
{
    private const int MaxTokens = 400;
    private const int MaxCharacters = 4000;

    public static void Write(HtmlWriter page, RunHistory history, TokenDetails? details)
    {
        page.Write($"""<section aria-labelledby="tokens"><h2 id="tokens">Token by token</h2>""");
        if (history.FirstGroups.Count == 0)
        {
            page.Write(
                $"""<p class="missing">No step of this run had a group with a signal: """
                + $"""every group's completions were worth the same.</p></section>{"\n"}""");
            return;
        }

        page.Write(
            $"""<p class="lead">The groups whose rewards differ most, in the first and in the last step that had a signal; """
            + $"""of each the completions with the highest and the lowest advantages.</p>""");
        if (details is null)
        {
            page.Write(
                $"""<p class="missing">The report was given no policy and tokenizer, so each completion is colored as a whole, by its """
                + $"""advantage.</p><div class="tokens">""");
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
            <p class="help help-advantage"><span class="t ap3">Blue</span> completions did better than their group and were made
            more probable. <span class="t an3">Orange</span> completions did worse and were made less probable. A deeper color means
            a larger advantage.</p>
            <p class="help help-ratio"><span class="t rp3">Blue</span> tokens are more probable under the policy at the end of the run
            than when they were sampled. <span class="t rn3">Orange</span> tokens are less probable. Plain tokens changed by less
            than 5 %.</p>
            <p class="help help-entropy">The deeper the <span class="t e3">violet</span>, the less certain the policy at the end of the
            run is of the token at this position. Plain tokens are almost certain.</p>
            """);
    }

    private static void WriteGroup(HtmlWriter page, ShownGroup group, TokenDetails? details, double temperature)
    {
        page.Write(
            $"""<article class="card group"><p class="eyebrow">Step {Numbers.Count(group.Step)} · {group.Completions.Count} of """
            + $"""{group.Size} completions</p>""");
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
                page.Write(
                    $"""<span class="t {TokenColors.Advantage(shown.Advantage)}">"""
                    + $"""{HtmlText.Cut(shown.Completion.Text, MaxCharacters)}</span>""");
            }
            else
            {
                WriteTokens(page, shown, ids[i], TokenPieces.Decode(details.Tokenizer, ids[i]), numbers?[i]);
            }

            page.Write($"</div></div>");
        }

        page.Write($"</div></article>");
    }

    private static void WriteTokens(
        HtmlWriter page, ShownCompletion shown, IReadOnlyList<int> ids, IReadOnlyList<string> pieces, TokenNumbers? numbers)
    {
        string advantage = TokenColors.Advantage(shown.Advantage);
        for (int t = 0; t < ids.Count; t++)
        {
            double? ratio = numbers is not null && shown.Completion.LogProbs is { } sampled && t < sampled.Count
                ? Math.Exp(numbers.LogProbs[t] - sampled[t])
                : null;
            double? entropy = numbers?.Entropies?[t];
            string piece = pieces[t].Length == 0 ? "·" : pieces[t].Replace("\n", "↵\n", StringComparison.Ordinal);
            page.Write(
                $"""<span class="t {advantage} {TokenColors.Ratio(ratio)} {TokenColors.Entropy(entropy)}" title="advantage """
                + $"""{Numbers.Signed(shown.Advantage)}, ratio {Numbers.Show(ratio)}, entropy {Numbers.Show(entropy)}">{piece}</span>""");
        }

        if (shown.Completion.TokenIds.Count > ids.Count)
        {
            page.Write($""" <span class="note">… and {Numbers.Count(shown.Completion.TokenIds.Count - ids.Count)} more tokens</span>""");
        }
    }
}

/// <summary>Splits a completion into the text that each token adds.</summary>
internal static class TokenPieces
{
    /// <summary>
    /// Returns pieces that concatenate to the decoded text, including special tokens. If several tokens form a character, the
    /// last one adds it.
    /// </summary>
    public static IReadOnlyList<string> Decode(ITokenizer tokenizer, IReadOnlyList<int> tokenIds)
    {
        var pieces = new string[tokenIds.Count];
        string before = string.Empty;
        var prefix = new List<int>(tokenIds.Count);
        for (int i = 0; i < pieces.Length; i++)
        {
            prefix.Add(tokenIds[i]);
            string text = tokenizer.Decode(prefix, skipSpecialTokens: false);
            // If a tokenizer changes earlier text, such as by removing spaces, the piece begins at the change.
            pieces[i] = text[before.AsSpan().CommonPrefixLength(text)..];
            before = text;
        }

        return pieces;
    }
}

/// <summary>Maps numbers to CSS classes of four color depths. The empty class means no color.</summary>
internal static class TokenColors
{
    /// <summary>Returns ap1 to ap4 for positive and an1 to an4 for negative advantages.</summary>
    public static string Advantage(double advantage) => Signed(advantage, "ap", "an", 0, 0.5, 1, 1.75);

    /// <summary>
    /// Returns rp1 to rp4 for tokens that are more probable now, and rn1 to rn4 for less probable ones, from a change of 5 %.
    /// </summary>
    public static string Ratio(double? ratio) =>
        ratio is { } value && double.IsFinite(value)
            ? Signed(value > 0 ? Math.Log(value) : -10, "rp", "rn", 0.05, 0.2, 0.7, 1.5)
            : string.Empty;

    /// <summary>Returns e1 to e4 by the entropy in nats.</summary>
    public static string Entropy(double? entropy) =>
        entropy is { } value && double.IsFinite(value) ? Depth(value, "e", 0.05, 0.3, 0.8, 1.5) : string.Empty;

    private static string Signed(double value, string positive, string negative, params ReadOnlySpan<double> limits) =>
        value >= 0 ? Depth(value, positive, limits) : Depth(-value, negative, limits);

    private static string Depth(double value, string name, params ReadOnlySpan<double> limits)
    {
        int depth = 0;
        while (depth < limits.Length && value > limits[depth])
        {
            depth++;
        }

        return depth == 0 ? string.Empty : name + (char)('0' + depth);
    }
}
