using System.Globalization;
using Grpo.Evaluation;
using Grpo.IO;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Grpo.Samples.Gsm8k;

/// <summary>The state of a run that the live view shows after a step.</summary>
/// <param name="Model">The name of the model.</param>
/// <param name="Steps">The last step of the run.</param>
/// <param name="Report">The report of the step.</param>
/// <param name="Evaluation">The latest evaluation, or null before the first.</param>
/// <param name="Left">The estimated time until the last step.</param>
/// <param name="Rewards">The mean rewards of the steps so far.</param>
internal sealed record LiveState(
    string Model, long Steps, StepReport Report, EvaluationReport? Evaluation, TimeSpan Left, IReadOnlyList<double> Rewards);

/// <summary>Arranges a step to fit the terminal: all numbers first, then the verdict, then as much text as fits.</summary>
/// <param name="console">The terminal, which gives the width, the height and the capabilities.</param>
internal sealed class LivePicture(IAnsiConsole console)
{
    private const string Bars = "▁▂▃▄▅▆▇█";
    private const string Title = "GRPO · ";
    private const int MostBars = 60;
    private const int Frame = 2;            // lines and columns of a border, both sides together
    private const int Padding = 2;          // columns inside the border
    private const int SparklineHeight = 3;
    private const int RoomForText = 5;      // lines of the completion's panel with its border; if fewer remain, there is no sparkline

    private int Width => console.Profile.Width;

    /// <summary>Draws the state. The picture is never higher than the terminal, unless the numbers alone do not fit.</summary>
    public IRenderable Draw(LiveState state)
    {
        IRenderable numbers = Numbers(state);
        int left = console.Profile.Height - Lines(numbers, Width).Count;
        List<IRenderable> parts = [numbers];
        if (left >= SparklineHeight + RoomForText)
        {
            parts.Add(new Panel(new Text(Sparkline(state.Rewards))).Header("mean reward").Expand());
            left -= SparklineHeight;
        }

        if (left > Frame)
        {
            var sample = new Rows(Sample(state.Report, Math.Max(1, Width - Frame - Padding), left - Frame));
            parts.Add(new Panel(sample).Header("a completion").Expand());
        }

        return new Rows(parts);
    }

    // The arrangements are in order of preference. The first that leaves a line for the completion is used, or else the first that fits.
    private IRenderable Numbers(LiveState state)
    {
        (string Name, string Value)[] cells = Cells(state);
        string model = TerminalText.EscapeLine(state.Model);
        while (model.Length > 1 && $"{Title}{model}".GetCellWidth() > Width - (2 * Frame) - Padding)
        {
            model = "…" + model[2..]; // the end of a path says the most
        }

        string header = Markup.Escape(Title + model);
        (IRenderable What, int Height)[] tables = [.. new[] { 2, 1 }.SelectMany(pairs => new (IRenderable, int)[]
        {
            (new Panel(Table(cells, pairs)).Header(header).Expand(), (cells.Length / pairs) + Frame),
            (Table(cells, pairs), cells.Length / pairs),
        })];
        // A table that is higher than its rows is too wide: its cells wrap.
        IEnumerable<IRenderable> whole = tables.Where(table => Lines(table.What, Width).Count == table.Height).Select(table => table.What);
        var text = new Text(string.Join(" · ", cells.Select(cell => $"{cell.Name} {cell.Value}")));
        IRenderable[] arrangements = [.. whole, text];
        int height = console.Profile.Height;
        return arrangements.FirstOrDefault(what => Lines(what, Width).Count <= height - Frame - 1)
            ?? arrangements.FirstOrDefault(what => Lines(what, Width).Count <= height)
            ?? text;
    }

    private static (string Name, string Value)[] Cells(LiveState state)
    {
        StepReport report = state.Report;
        UpdateReport? update = report.Updates.Count > 0 ? report.Updates[^1] : null;
        return
        [
            ("step", string.Create(CultureInfo.InvariantCulture, $"{report.Step} / {state.Steps}")),
            ("time left", state.Left.ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture)),
            ("reward", TrainingView.Number(report.MeanReward)),
            ("accuracy", TrainingView.Percent(report.Accuracy)),
            ("KL", TrainingView.Number(update?.Kl)),
            ("clipped low / high", $"{TrainingView.Number(update?.Clip?.LowMean)} / {TrainingView.Number(update?.Clip?.HighMean)}"),
            ("completion", report.MeanCompletionTokens.ToString("F1", CultureInfo.InvariantCulture) + " tokens"),
            ("speed", TrainingView.TokensPerSecond(report).ToString("F0", CultureInfo.InvariantCulture) + " tokens/s"),
            ("entropy", TrainingView.Number(report.Entropy)),
            ("held-out accuracy", TrainingView.Percent(state.Evaluation?.Accuracy)),
        ];
    }

    private static Grid Table((string Name, string Value)[] cells, int pairs)
    {
        Grid grid = new Grid().AddColumns(2 * pairs);
        foreach ((string Name, string Value)[] row in cells.Chunk(pairs))
        {
            grid.AddRow([.. row.SelectMany(cell => new Text[] { new(cell.Name, new Style(Color.Grey)), new(cell.Value) })]);
        }

        return grid;
    }

    // Model output is shown as plain text, never as markup or terminal control sequences.
    private List<Text> Sample(StepReport report, int width, int height)
    {
        ScoredGroup group = report.Groups[0];
        Reward reward = group.Rewards[0];
        string verdict = TerminalText.EscapeLine(
            $"reward {TrainingView.Number(reward.Value)} · {reward.Verdict} · answer {group.Group.Prompt.Answer}");
        string question = TerminalText.Escape(group.Group.Prompt.Messages[^1].Text);
        string completion = TerminalText.Escape(group.Group.Completions[0].Text);

        int room = height - 1; // one line is for the verdict
        int forQuestion = Math.Min(Wrapped(question, width).Count, Math.Max(room - Wrapped(completion, width).Count, room / 3));
        return
        [
            .. Cut(question, width, forQuestion, new Style(Color.Grey)),
            .. Cut(completion, width, room - forQuestion, Style.Plain),
            .. Cut(verdict, width, 1, new Style(reward.IsCorrect == true ? Color.Green : Color.Red)),
        ];
    }

    // Returns the first lines of a text. The last one ends with an ellipsis if the text is longer.
    private IEnumerable<Text> Cut(string text, int width, int lines, Style style)
    {
        List<string> all = Wrapped(text, width);
        bool isCut = all.Count > lines;
        return all.Take(lines).Select((line, i) => new Text(isCut && i == lines - 1 ? WithEllipsis(line, width) : line, style));
    }

    private static string WithEllipsis(string line, int width)
    {
        while (line.Length > 0 && line.GetCellWidth() + 2 > width)
        {
            line = line[..^(line.Length > 1 && char.IsSurrogatePair(line, line.Length - 2) ? 2 : 1)];
        }

        return line + " …";
    }

    private List<string> Wrapped(string text, int width) =>
        [.. Lines(new Text(text), width).Select(line => string.Concat(line.Select(segment => segment.Text)).TrimEnd())];

    private List<SegmentLine> Lines(IRenderable what, int width) =>
        Segment.SplitLines(what.Render(RenderOptions.Create(console, console.Profile.Capabilities), width), width);

    private string Sparkline(IReadOnlyList<double> rewards)
    {
        int width = Math.Clamp(Width - Frame - Padding, 1, MostBars);
        double[] shown = [.. rewards.TakeLast(width).Select(reward => double.IsNaN(reward) ? 0 : reward)];
        double low = shown.Min(), range = Math.Max(shown.Max() - low, 1e-9);
        return string.Concat(shown.Select(reward => Bars[(int)Math.Round((reward - low) / range * (Bars.Length - 1))]));
    }
}
