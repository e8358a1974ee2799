using System.Globalization;

namespace Grpo.Callbacks;

/// <summary>What is needed to run it again: options, seed, versions, hardware.</summary>
internal static class FactsSection
{
    private const int MaxCharacters = 2000;

    public static void Write(HtmlWriter page, RunHistory history, IReadOnlyList<KeyValuePair<string, string>> facts)
    {
        page.Write($"""<section aria-labelledby="settings"><h2 id="settings">Settings and machine</h2><div class="columns">""");
        IReadOnlyList<KeyValuePair<string, string>> all = [.. facts, new("Written", DateTimeOffset.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)), .. MachineFacts.Read()];
        page.Write($"""<div class="card"><h3>Run</h3><dl>""");
        foreach ((string name, string value) in all)
        {
            page.Write($"<dt>{HtmlText.Cut(name, 80)}</dt><dd>{HtmlText.Cut(value, MaxCharacters)}</dd>");
        }

        page.Write($"""</dl></div><div class="card"><h3>Options</h3>""");
        if (history.Start is { } start)
        {
            WriteOptions(page, OptionFacts.Of(start.Options));
        }
        else
        {
            page.Write($"""<p class="missing">The run ended before it began, so its options are not known.</p>""");
        }

        page.Write($"</div></div></section>\n");
    }

    private static void WriteOptions(HtmlWriter page, IReadOnlyList<OptionFact> options)
    {
        page.Write($"""<p class="note">Bold: other than the default.</p><div class="scroll" tabindex="0"><table class="options"><thead><tr><th scope="col">Option</th><th scope="col">Value</th></tr></thead><tbody>""");
        foreach (OptionFact option in options)
        {
            string value = HtmlText.Cut(option.Value, MaxCharacters);
            page.Write($"""<tr><th scope="row">{option.Name}</th>""");
            if (option.IsChanged)
            {
                page.Write($"<td><strong>{value}</strong></td></tr>");
            }
            else
            {
                page.Write($"<td>{value}</td></tr>");
            }
        }

        page.Write($"</tbody></table></div>");
    }
}
