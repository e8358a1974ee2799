using System.Text.Json.Nodes;
using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.Core.Tests.Training;

/// <summary>An evaluation that a cancellation has interrupted is made up for, and stands where it would have stood.</summary>
public sealed class OwedEvaluationTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(2, "start 2 to 5|evaluate|evaluation of 2|step 3|evaluate|step 4|evaluate|step 5|end 3")]
    [InlineData(5, "start 5 to 5|evaluate|evaluation of 5|end 0")] // of the last step: nothing but the evaluation is left
    public async Task TrainAsync_makes_up_for_an_evaluation_and_leaves_the_files_of_a_run_that_was_not_interrupted(
        long step, string expected)
    {
        await RunAsync("whole", [], interruptAt: null);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => RunAsync("halves", [], interruptAt: step));
        Assert.DoesNotContain("eval/", Metrics("halves")[^1], StringComparison.Ordinal);
        var log = new List<string>();
        await RunAsync("halves", log, interruptAt: null);

        Assert.Equal(expected.Split('|'), log);
        Assert.Equal(Metrics("whole"), Metrics("halves"));
        foreach (string file in new[] { "trainer_state.json", "grpo_state.json", "bigram.safetensors", "optimizer.safetensors" })
        {
            Assert.Equal(
                File.ReadAllBytes(_folder[$"whole/checkpoints/checkpoint-000005/{file}"]),
                File.ReadAllBytes(_folder[$"halves/checkpoints/checkpoint-000005/{file}"]));
        }
    }

    [Fact]
    public async Task TrainAsync_owes_nothing_to_a_run_that_was_done()
    {
        await RunAsync("run", [], interruptAt: null);
        var log = new List<string>();
        await RunAsync("run", log, interruptAt: null);

        Assert.Equal(["start 5 to 5", "end 0"], log);
    }

    private async Task RunAsync(string name, List<string> log, long? interruptAt)
    {
        using var stop = new CancellationTokenSource();
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var files = new JsonLinesLogger(_folder[name]);
        var services = new TrainerServices
        {
            Evaluator = new InterruptedEvaluator(log, () =>
            {
                if (optimizer.Step == interruptAt)
                {
                    stop.Cancel();
                }

                return optimizer.Step;
            }),
            Checkpoints = new DirectoryCheckpointStore(_folder[$"{name}/checkpoints"]),
            Callbacks = [files, new RecordingCallback(log)],
        };
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 5, EvaluateEvery = 2, Resume = true }, services)
            .TrainAsync(stop.Token);
    }

    private string[] Metrics(string name) => [.. File.ReadLines(_folder[$"{name}/metrics.jsonl"]).Select(line =>
    {
        JsonObject step = JsonNode.Parse(line)!.AsObject();
        foreach (string time in step.Select(pair => pair.Key).Where(key => key.StartsWith("time/", StringComparison.Ordinal)).ToArray())
        {
            step.Remove(time);
        }

        return step.ToJsonString();
    })];

    /// <summary>An accuracy that follows from the step.</summary>
    private sealed class InterruptedEvaluator(List<string> log, Func<long> begin) : IEvaluator
    {
        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            long step = begin();
            cancellationToken.ThrowIfCancellationRequested();
            log.Add("evaluate");
            return ValueTask.FromResult(new EvaluationReport { Count = 10, Accuracy = step / 10.0, MeanReward = step });
        }
    }
}
