using Grpo.Checkpoints;
using Grpo.Tensors;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>Whatever ends supervised training, the checkpoint of its last whole step is there, and training goes on from it.</summary>
public sealed class SupervisedEndTests : IDisposable
{
    private static readonly SupervisedExample[] Examples =
    [
        .. "abcdefgh".Select((letter, i) =>
            new SupervisedExample(Prompt.Create($"e{i}", new string(letter, 1 + (i % 3))), "abc"[..(1 + (i % 2))])),
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<SupervisedTrainer> _log = new();

    public void Dispose() => _folder.Dispose();

    // The third step's pass, its held-out loss, the body of the loop, and leaving it; the step that is kept.
    [Theory]
    [InlineData("pass", 2)]
    [InlineData("held-out", 3)]
    [InlineData("body", 3)]
    [InlineData("break", 3)]
    public async Task RunAsync_leaves_the_last_whole_step(string what, long expected)
    {
        using BigramPolicy whole = Toy.Policy(), broken = Toy.Policy(), rest = Toy.Policy();
        await RunAsync(whole, _folder["whole"]);
        int passes = 0; // a pass for the step, one for the held-out loss
        broken.OnLogProbs = () => ThrowIf(++passes == (what == "pass" ? 5 : what == "held-out" ? 6 : -1));
        Task run = RunAsync(broken, _folder["broken"], report =>
        {
            ThrowIf(what == "body" && report.Step == 3);
            return !(what == "break" && report.Step == 3);
        });
        if (what == "break")
        {
            await run;
        }
        else
        {
            Assert.Equal("broken on purpose", (await Assert.ThrowsAsync<InvalidOperationException>(() => run)).Message);
        }

        Assert.Equal(expected, await EndedRun.LatestAsync(_folder["broken"]));
        await RunAsync(rest, _folder["broken"]);
        Assert.Equal(whole.Weights(), rest.Weights());
        Assert.Equal(
            File.ReadAllBytes(_folder["whole/checkpoint-000009/optimizer.safetensors"]),
            File.ReadAllBytes(_folder["broken/checkpoint-000009/optimizer.safetensors"]));
    }

    [Fact]
    public async Task RunAsync_writes_nothing_when_training_has_diverged()
    {
        using BigramPolicy policy = Toy.Policy();
        await Assert.ThrowsAsync<TrainingDivergedException>(() => RunAsync(policy, _folder["run"], report =>
        {
            using var scope = TensorScope.BeginNoGrad();
            policy.Table.fill_(float.NaN);
            return true;
        }));
        Assert.Equal(-1, await EndedRun.LatestAsync(_folder["run"]));
    }

    [Fact]
    public async Task RunAsync_tells_both_when_the_last_checkpoint_fails_as_well()
    {
        using BigramPolicy policy = Toy.Policy();
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => RunAsync(policy, _folder["run"], report =>
        {
            policy.OnLogProbs = () => ThrowIf(true);
            policy.OnSaved = () => throw new IOException("the disk is gone");
            return true;
        }));
        Assert.Equal("broken on purpose", failure.Message);
        string logged = "The run ended early, and the checkpoint of step 1 could not be written.";
        Assert.Contains(_log.Entries, entry => entry.Id == 51 && entry.Text == logged);
    }

    [Fact]
    public async Task RunAsync_that_is_canceled_throws_when_the_last_checkpoint_fails()
    {
        using BigramPolicy policy = Toy.Policy();
        using var source = new CancellationTokenSource();
        var failure = await Assert.ThrowsAsync<IOException>(() => RunAsync(
            policy,
            _folder["run"],
            report =>
            {
                policy.OnSaved = () => throw new IOException("the disk is gone");
                source.Cancel();
                return true;
            },
            source.Token));
        Assert.Contains("the disk is gone", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RunAsync_refuses_the_folder_of_a_run_that_is_under_way()
    {
        using BigramPolicy policy = Toy.Policy();
        using IDisposable claim = new DirectoryCheckpointStore(_folder["run"]).BeginRun();
        var refusal = await Assert.ThrowsAsync<IOException>(() => RunAsync(policy, _folder["run"]));
        Assert.Contains("belong to a run that is under way", refusal.Message, StringComparison.Ordinal);
    }

    private static void ThrowIf(bool condition)
    {
        if (condition)
        {
            throw new InvalidOperationException("broken on purpose");
        }
    }

    private async Task RunAsync(
        BigramPolicy policy, string folder, Func<SupervisedReport, bool>? body = null, CancellationToken cancellationToken = default)
    {
        var options = new SupervisedOptions
        {
            Steps = 9,
            BatchSize = 3,
            LearningRate = 0.1,
            WarmupSteps = 2,
            Seed = 5,
            EvaluateEvery = 1,
            Resume = true,
        };
        var services = new SupervisedServices { Checkpoints = new DirectoryCheckpointStore(folder) };
        var trainer = new SupervisedTrainer(
            policy, SupervisedTrainerTests.Data(Examples) with { HeldOut = Examples[..2] }, options, services, _log);
        await foreach (SupervisedReport report in trainer.RunAsync(cancellationToken))
        {
            if (body?.Invoke(report) == false)
            {
                break;
            }
        }
    }
}
