using System.Reflection;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// Renders the whole page: head, style sheet and sections. The HTML is also well-formed XML, so that any parser can check it.
/// </summary>
internal static class ReportPage
{
    // A second line of defense: encoded text contains nothing to run or load, and this policy forbids both.
    private const string ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

    private const string StyleSheet = "Grpo.Callbacks.report.css";

    public static string Render(
        RunHistory history, TrainingSummary summary, IReadOnlyList<KeyValuePair<string, string>> facts, TokenDetails? tokens)
    {
        var page = new HtmlWriter();
        page.Write($"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta http-equiv="Content-Security-Policy" content="{ContentSecurityPolicy}"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta name="color-scheme" content="light dark"/>
            <meta name="referrer" content="no-referrer"/>
            <title>GRPO run report</title>
            <style>
            """);
        page.WriteStyle(Style());
        page.Write($"</style>\n</head>\n<body>\n<main>\n");
        SummarySection.Write(page, history, summary, facts);
        ChartsSection.Write(page, history, summary);
        EventsSection.Write(page, history);
        CompletionsSection.Write(page, summary);
        TokensSection.Write(page, history, tokens);
        FactsSection.Write(page, history, facts);
        page.Write($"</main>\n</body>\n</html>\n");
        return page.ToString();
    }

    private static string Style()
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(StyleSheet)
            ?? throw new InvalidOperationException($"The style sheet '{StyleSheet}' is missing from this build of Grpo.Core.");
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
