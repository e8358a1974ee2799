using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>The report of a run that was resumed is about the whole run, or the one that is there is left alone.</summary>
public sealed class ResumedReportTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<GrpoTrainer> _log = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_resumed_run_has_trained_for_all_its_steps()
    {
        await TrainAsync(14);
        await TrainAsync(16);
        Assert.Contains("Trained for 16 steps", Page("report.html"), StringComparison.Ordinal);
        Assert.DoesNotContain("resumed after", Page("report.html"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_finished_run_that_is_repeated_keeps_its_steps()
    {
        await TrainAsync(5);
        await TrainAsync(5);
        Assert.Contains("Trained for 5 steps", Page("report.html"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_resumed_run_has_taken_the_time_of_all_its_sessions()
    {
        var first = new HtmlReport(_folder["report.html"]);
        await first.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        ((ICheckpointedCallback)first).Save(
            _folder.Path, new TrainingSummary { Steps = 4, CompletionTokens = 8, Elapsed = TimeSpan.FromMinutes(100) });

        var second = new HtmlReport(_folder["report.html"]);
        await second.OnStartAsync(new TrainingStart(4, 9, Toy.Options) { Resumes = true, Checkpoint = _folder.Path });
        await second.OnEndAsync(new TrainingSummary { Steps = 5, CompletionTokens = 10, Elapsed = TimeSpan.FromMinutes(30) });

        Assert.Contains(">2:10:00 h<", Page("report.html"), StringComparison.Ordinal);
    }

    // More events and evaluations than are kept: both go on as if they had never been saved.
    [Fact]
    public void A_long_history_goes_on_from_a_checkpoint_as_it_would_without()
    {
        var start = new TrainingStart(0, 2_000, Toy.Options);
        var session = new TrainingSummary { Steps = 0, CompletionTokens = 0, Elapsed = TimeSpan.Zero };
        RunHistory whole = new(start), resumed = new(start);
        for (int step = 1; step <= 1_500; step++)
        {
            foreach (RunHistory history in new[] { whole, resumed })
            {
                history.NoteEarly(step, FormattableString.Invariant($"Event {step}."));
                history.Add(step, new EvaluationReport { Count = 1, Accuracy = step / 2_000.0 });
            }

            resumed = step % 499 == 0 ? RunHistory.From(resumed.Save(session), start) : resumed;
        }

        Assert.Equal((1_400, 1_400), (whole.MoreEvents, resumed.MoreEvents));
        Assert.Equal(whole.Events, resumed.Events);
        Assert.Equal(whole.Evaluations, resumed.Evaluations);
    }

    [Theory]
    [InlineData("\"stride\":1,", "\"stride\":0,")]
    [InlineData("\"evaluation_stride\":1,", "\"evaluation_stride\":0,")]
    public async Task A_history_that_does_not_fit_together_is_not_gone_on_with(string right, string wrong)
    {
        await TrainAsync(3);
        string path = _folder["checkpoints/checkpoint-000003/report_state.json"], state = File.ReadAllText(path);
        Assert.Contains(right, state, StringComparison.Ordinal);
        File.WriteAllText(path, state.Replace(right, wrong, StringComparison.Ordinal));
        await TrainAsync(5, new PlainStore(_folder["checkpoints"]));
        string said = Assert.Single(_log.Entries, entry => entry.Id == 54).Text;
        Assert.EndsWith("is damaged: its history does not fit together.", said, StringComparison.Ordinal);
    }

    // As a run of an earlier version was: its checkpoints hold nothing of the report.
    [Theory]
    [InlineData("missing", "holds no report_state.json.")]
    [InlineData("{", "is damaged: ")]
    [InlineData("null", "holds null.")]
    [InlineData("{\"format\": 1}", "is damaged: ")]
    public async Task A_report_without_its_first_steps_leaves_the_other_alone(string state, string problem)
    {
        await TrainAsync(3);
        string before = Page("report.html");
        string path = _folder["checkpoints/checkpoint-000003/report_state.json"];
        if (state == "missing")
        {
            File.Delete(path);
        }
        else
        {
            File.WriteAllText(path, state);
        }

        await TrainAsync(5, new PlainStore(_folder["checkpoints"]));

        Assert.Equal(before, Page("report.html"));
        Assert.Contains("Trained for 2 steps", Page("report-from-step-4.html"), StringComparison.Ordinal);
        Assert.Contains("from step 4 on; the steps before it were not recorded", Page("report-from-step-4.html"), StringComparison.Ordinal);
        string said = Assert.Single(_log.Entries, entry => entry.Id == 54).Text;
        string start = $"The report '{_folder["report-from-step-4.html"]}' begins with step 4: what came before is not on record, since ";
        Assert.StartsWith(start, said, StringComparison.Ordinal);
        Assert.Contains(problem, said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_report_of_two_runs_of_an_optimizer_has_the_steps_of_both()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var report = new HtmlReport(_folder["report.html"]);
        foreach (long steps in new[] { 2L, 5 })
        {
            var options = new TrainerOptions { Steps = steps };
            await new GrpoTrainer(optimizer, Toy.Prompts, options, new TrainerServices { Callbacks = [report] }).TrainAsync();
        }

        Assert.Contains("Trained for 5 steps", Page("report.html"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OnEndAsync_does_not_make_a_folder_anew_that_is_gone(bool isMoved)
    {
        var report = new HtmlReport(_folder["run/report.html"]);
        await report.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        if (isMoved)
        {
            Directory.Move(_folder["run"], _folder["elsewhere"]);
        }
        else
        {
            Directory.Delete(_folder["run"]);
        }

        IOException problem = await Assert.ThrowsAsync<IOException>(
            () => report.OnEndAsync(new TrainingSummary { Steps = 1, CompletionTokens = 1, Elapsed = TimeSpan.Zero }).AsTask());
        Assert.Equal(
            $"The report '{_folder["run/report.html"]}' cannot be written: Its folder was there when the run began and is gone. "
            + "Put the disk or the folder back, and run it again.",
            problem.Message);
        Assert.False(Directory.Exists(_folder["run"]));
    }

    private string Page(string name) => File.ReadAllText(_folder[name]);

    private async Task TrainAsync(long steps, ICheckpointStore? store = null)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var services = new TrainerServices
        {
            Checkpoints = store ?? new DirectoryCheckpointStore(_folder["checkpoints"]),
            Callbacks = [new HtmlReport(_folder["report.html"])],
        };
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = steps, Resume = true }, services, _log).TrainAsync();
    }

    /// <summary>Takes a checkpoint as it is, without its hashes.</summary>
    private sealed class PlainStore(string folder) : ICheckpointStore
    {
        public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
        {
            string target = Directory.CreateDirectory(Path.Combine(folder, FormattableString.Invariant($"checkpoint-{step:D6}"))).FullName;
            write(target);
            return ValueTask.FromResult(target);
        }

        public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) =>
            ValueTask.FromResult(Directory.GetDirectories(folder).Order(StringComparer.Ordinal).LastOrDefault());

        public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult<string?>(null);

        public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<string?>(null);
    }
}
