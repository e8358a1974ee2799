using System.Diagnostics;
using System.Globalization;
using Grpo.Diagnostics;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Grpo.Samples.Gsm8k;

/// <summary>A table that redraws itself after each step: the course of the reward, the numbers, and one completion with its verdict.</summary>
internal sealed class LiveView(Settings settings, int heldOut) : ITrainingCallback
{
    private const string Bars = "▁▂▃▄▅▆▇█";
    private const int Width = 60;

    private readonly Stopwatch _clock = new();
    private readonly List<double> _rewards = [];
    private readonly TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LiveDisplayContext? _display;
    private Task _drawing = Task.CompletedTask;
    private long _first;
    private EvaluationReport? _evaluation;

    public async ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        _first = start.FirstStep;
        _clock.Start();
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _drawing = AnsiConsole.Live(new Text($"Training {ModelName.Of(settings)}: evaluating {heldOut} held-out problems first …")).StartAsync(async display =>
        {
            _display = display;
            display.Refresh();
            ready.SetResult();
            await _finished.Task;
        });
        await ready.Task;
    }

    public ValueTask OnStepAsync(StepReport report, CancellationToken cancellationToken = default)
    {
        _rewards.Add(report.MeanReward);
        _evaluation = report.Evaluation ?? _evaluation;
        _display?.UpdateTarget(Draw(report));
        return ValueTask.CompletedTask;
    }

    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        _evaluation = evaluation;
        return ValueTask.CompletedTask;
    }

    public async ValueTask OnEndAsync(TrainingSummary summary)
    {
        _finished.TrySetResult();
        await _drawing;
        foreach (string line in RunEnd.Lines(summary))
        {
            AnsiConsole.WriteLine(line);
        }
    }

    private Rows Draw(StepReport report)
    {
        TimeSpan left = _clock.Elapsed / (report.Step - _first) * (settings.Trainer.Steps - report.Step);
        UpdateReport? update = report.Updates.Count > 0 ? report.Updates[^1] : null;
        Grid numbers = new Grid().AddColumns(4);
        Row("step", $"{report.Step} / {settings.Trainer.Steps}", "time left", left.ToString(@"hh\:mm\:ss", CultureInfo.InvariantCulture));
        Row("reward", TrainingView.Number(report.MeanReward), "accuracy", TrainingView.Percent(report.Accuracy));
        Row("KL", TrainingView.Number(update?.Kl), "clipped low / high", $"{TrainingView.Number(update?.Clip?.LowMean)} / {TrainingView.Number(update?.Clip?.HighMean)}");
        Row("completion", report.MeanCompletionTokens.ToString("F1", CultureInfo.InvariantCulture) + " tokens", "speed",
            TrainingView.TokensPerSecond(report).ToString("F0", CultureInfo.InvariantCulture) + " tokens/s");
        Row("entropy", TrainingView.Number(report.Entropy), "held-out accuracy", TrainingView.Percent(_evaluation?.Accuracy));
        return new Rows(
            new Panel(numbers).Header(Markup.Escape($"GRPO · {ModelName.Of(settings)}")).Expand(),
            new Panel(new Text(Sparkline())).Header("mean reward").Expand(),
            Sample(report));

        void Row(params string[] cells) => numbers.AddRow([.. cells.Select((cell, i) => (IRenderable)new Text(cell, i % 2 == 0 ? new Style(Color.Grey) : Style.Plain))]);
    }

    private static Panel Sample(StepReport report)
    {
        ScoredGroup group = report.Groups[0];
        Completion completion = group.Group.Completions[0];
        Reward reward = group.Rewards[0];
        // Model output is shown as text: neither as markup nor as what a terminal obeys.
        return new Panel(new Rows(
            new Text(TerminalText.Escape(group.Group.Prompt.Messages[^1].Text), new Style(Color.Grey)),
            new Text(TerminalText.Escape(completion.Text)),
            new Text(TerminalText.EscapeLine($"answer {group.Group.Prompt.Answer} · {reward.Verdict} · reward {TrainingView.Number(reward.Value)}"),
                new Style(reward.IsCorrect == true ? Color.Green : Color.Red)))).Header("a completion").Expand();
    }

    private string Sparkline()
    {
        double[] shown = [.. _rewards.TakeLast(Width).Select(reward => double.IsNaN(reward) ? 0 : reward)];
        double low = shown.Min(), range = Math.Max(shown.Max() - low, 1e-9);
        return string.Concat(shown.Select(reward => Bars[(int)Math.Round((reward - low) / range * (Bars.Length - 1))]));
    }
}
