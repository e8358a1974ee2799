using System.Runtime.InteropServices;
using Grpo.Checkpoints;
using Grpo.Core.Tests.Optimization;
using Grpo.Core.Tests.Training;
using Grpo.Tensors;
using Grpo.Testing;

namespace Grpo.Core.Tests.Tensors;

// Runs alone: tests beside it would use the blocks that it frees, or trim the heap.
[Collection(nameof(LiveTensorTests))]
public sealed class FreedMemoryTests
{
    [LinuxFact]
    public void Trim_returns_what_was_freed_between_blocks_in_use()
    {
        using var freed = new FreedBlocks();
        double before = freed.Resident();
        FreedMemory.Trim();
        Assert.InRange(before, 0.75, 1); // other threads of the process may use some of it meanwhile
        Assert.InRange(freed.Resident(), 0, 0.25);
    }

    [LinuxFact]
    public void TrimExcess_returns_what_exceeds_the_limit()
    {
        using var freed = new FreedBlocks();
        FreedMemory.TrimExcess(isNewPhase: true, kept: long.MaxValue / 2);
        Assert.InRange(freed.Resident(), 0.75, 1);
        FreedMemory.TrimExcess(isNewPhase: true, kept: 0);
        Assert.InRange(freed.Resident(), 0, 0.25);
    }

    [LinuxFact]
    public void TrimExcess_keeps_up_to_the_high_water_mark_until_a_new_phase()
    {
        using var freed = new FreedBlocks();
        nint room = Marshal.AllocHGlobal((nint)(2 * Environment.WorkingSet)); // in use, though no page of it is there
        FreedMemory.TrimExcess();
        Marshal.FreeHGlobal(room);
        FreedMemory.TrimExcess(kept: 0);
        double sameWork = freed.Resident();
        FreedMemory.TrimExcess(isNewPhase: true, kept: 0);
        Assert.InRange(sameWork, 0.75, 1);
        Assert.InRange(freed.Resident(), 0, 0.25);
    }

    [LinuxFact]
    public async Task TrainAsync_gives_back_what_an_evaluation_and_a_checkpoint_have_freed()
    {
        using var policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        FreedBlocks? ofCheckpoint = null, ofEvaluation = null;
        var resident = new Dictionary<long, double>();
        var services = new TrainerServices
        {
            Evaluator = new RecordingEvaluator([], call => ofEvaluation = call == 2 ? new FreedBlocks() : ofEvaluation), // after step 4
            Checkpoints = new FreeingStore(() => ofCheckpoint ??= new FreedBlocks()), // after step 2
            Callbacks =
            [
                new RecordingCallback([])
                {
                    OnStep = (report, _) => resident[report.Step] =
                        (report.Step == 3 ? ofCheckpoint : report.Step == 4 ? ofEvaluation : null)?.Resident() ?? -1,
                },
            ],
        };
        try
        {
            await new GrpoTrainer(
                optimizer, Toy.Prompts, new TrainerOptions { Steps = 5, EvaluateEvery = 4, CheckpointEvery = 2, KeepBest = false },
                services).TrainAsync();
        }
        finally
        {
            ofCheckpoint?.Dispose();
            ofEvaluation?.Dispose();
        }

        Assert.InRange(resident[3], 0, 0.25);
        Assert.InRange(resident[4], 0, 0.25);
    }

    private sealed class FreeingStore(Action free) : ICheckpointStore
    {
        public ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
        {
            free();
            using var folder = new TemporaryFolder();
            write(folder.Path);
            return ValueTask.FromResult("nowhere");
        }

        public ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<string?>(null);

        public ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default) =>
            ValueTask.FromResult<string?>(null);

        public ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<string?>(null);
    }
}
