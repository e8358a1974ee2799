using Grpo.Callbacks;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>
/// An event that was noted under its own step, before a report tells it, stands there once; every other one stands where it is told.
/// </summary>
public sealed class NotedEventTests
{
    // What is noted or told, each as a step, n or t, and a text; and what the report then shows.
    [Theory]
    [InlineData("2t:A.|5t:A.", "2:A.|5:A.")] // the same numbers again, at a later step
    [InlineData("2n:A.|3t:A.|6t:A.", "2:A.|6:A.")]
    [InlineData("2n:A.|3t:A. B.", "2:A.|3:B.")]
    [InlineData("2n:A.|3t:B. A.", "2:A.|3:B.")]
    [InlineData("2n:A.|3t:B. A. C.", "2:A.|3:B. C.")]
    [InlineData("2n:A.|3t:A. A.", "2:A.|3:A.")] // each once
    [InlineData("2n:A. B.|3t:A. B.", "2:A. B.")]
    [InlineData("2n:A.|3t:AA. A.B.", "2:A.|3:AA. A.B.")]
    [InlineData("2n:A.|3t:|4t:A.", "2:A.|4:A.")] // the next report is the one that tells it
    public void Add_tells_a_noted_sentence_once(string told, string expected)
    {
        foreach (bool isResumed in new[] { false, true })
        {
            var start = new TrainingStart(0, 9, Toy.Options);
            var history = new RunHistory(start);
            foreach (string item in told.Split('|'))
            {
                (long step, string text) = (item[0] - '0', item[3..]);
                if (item[1] == 'n')
                {
                    history.NoteEarly(step, text);
                }
                else
                {
                    TrainingStep full = StepMetricsTests.FullReport(step);
                    history.Add(full with
                    {
                        Report = full.Report with { Updates = [], ReferenceMoved = false },
                        Event = text.Length == 0 ? null : text,
                    });
                }

                if (isResumed)
                {
                    var session = new TrainingSummary { Steps = step, CompletionTokens = 1, Elapsed = TimeSpan.Zero };
                    history = RunHistory.From(history.Save(session), start);
                }
            }

            Assert.Equal(expected.Split('|'), history.Events.Select(item => $"{item.Step}:{item.Text}"));
        }
    }
}
