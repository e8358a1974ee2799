using System.Diagnostics;
using Grpo.Checkpoints;
using Grpo.Testing;

namespace Grpo.Core.Tests.Checkpoints;

public sealed class RunLockTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void BeginRun_refuses_a_second_run_and_names_the_first()
    {
        DirectoryCheckpointStore first = new(_folder.Path), second = new(_folder.Path);
        using (first.BeginRun())
        {
            foreach (DirectoryCheckpointStore store in new[] { second, first })
            {
                var error = Assert.Throws<IOException>(() => store.BeginRun());
                Assert.StartsWith(
                    $"The checkpoints in '{_folder.Path}' belong to a run that is under way: process {Environment.ProcessId} (",
                    error.Message, StringComparison.Ordinal);
                Assert.EndsWith("Wait until it ends, stop it, or choose another folder.", error.Message, StringComparison.Ordinal);
            }
        }

        second.BeginRun().Dispose();
        first.BeginRun().Dispose();
    }

    [Fact]
    public async Task BeginRun_leaves_reading_to_others()
    {
        var store = new DirectoryCheckpointStore(_folder.Path);
        using IDisposable run = store.BeginRun();
        string saved = await store.SaveAsync(1, folder => File.WriteAllText(Path.Combine(folder, "weights"), "x"));
        Assert.Equal(saved, await new DirectoryCheckpointStore(_folder.Path).FindLatestAsync());
    }

    [Fact]
    public void BeginRun_does_not_mind_what_a_crashed_run_left_behind()
    {
        File.WriteAllText(_folder[RunLock.FileName], "");
        File.WriteAllText(_folder[RunLock.OwnerFileName], "process 1");
        new DirectoryCheckpointStore(_folder.Path).BeginRun().Dispose();
        Assert.False(File.Exists(_folder[RunLock.OwnerFileName]));
    }

    [Fact]
    public void BeginRun_refuses_a_folder_held_by_another_process_until_that_is_killed()
    {
        string program = Path.Combine(AppContext.BaseDirectory, "Grpo.KilledRun.dll");
        var start = new ProcessStartInfo("dotnet", [program, "hold", _folder.Path]) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        try
        {
            Assert.Equal("held", process.StandardOutput.ReadLine());
            var error = Assert.Throws<IOException>(() => new DirectoryCheckpointStore(_folder.Path).BeginRun());
            Assert.Contains($"process {process.Id} (", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }

        new DirectoryCheckpointStore(_folder.Path).BeginRun().Dispose();
    }

    [Fact]
    public async Task TrainAsync_holds_the_folder_until_it_ends_however_it_ends()
    {
        var store = new DirectoryCheckpointStore(_folder.Path);
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        Exception? refused = null;
        bool fail = true;
        policy.OnAdvance = () =>
        {
            refused = Record.Exception(() => new DirectoryCheckpointStore(_folder.Path).BeginRun().Dispose());
            if (fail)
            {
                throw new InvalidOperationException("out of order");
            }
        };
        var trainer = new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 2 }, new TrainerServices { Checkpoints = store });

        await Assert.ThrowsAsync<InvalidOperationException>(() => trainer.TrainAsync());
        Assert.IsType<IOException>(refused);
        store.BeginRun().Dispose();

        fail = false;
        await foreach (TrainingStep step in trainer.RunAsync())
        {
            break;
        }

        store.BeginRun().Dispose();
        await trainer.TrainAsync();
        store.BeginRun().Dispose();
    }
}
