namespace Grpo.Callbacks;

/// <summary>Writes the section with unusual events by step. There is no section without events.</summary>
internal static class EventsSection
{
    public static void Write(HtmlWriter page, RunHistory history)
    {
        if (history.Events.Count == 0)
        {
            return;
        }

        page.Write(
            $"""<section><h2>Events</h2><div class="card"><table><thead><tr><th>Step</th><th>What happened</th></tr></thead><tbody>""");
        foreach ((long step, string text) in history.Events)
        {
            page.Write($"<tr><td>{Numbers.Count(step)}</td><td>{text}</td></tr>");
        }

        page.Write($"</tbody></table>");
        if (history.MoreEvents > 0)
        {
            page.Write($"""<p class="note">And {Numbers.Count(history.MoreEvents)} more.</p>""");
        }

        page.Write($"</div></section>\n");
    }
}
