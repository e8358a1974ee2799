using Grpo.Core.Tests.Optimization;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

/// <summary>While no other test runs: the number of threads that one sets is what threads begun meanwhile find.</summary>
[Collection(nameof(LiveTensorTests))]
public sealed class OpenMpTeamTests
{
    [LinuxFact]
    public void Release_ends_the_workers_of_the_calling_thread_and_leaves_what_it_has_set()
    {
        const string Name = "omp owner";               // workers take the name of the thread that they work for
        int[] workers = [];
        int threads = 0;
        Exception? failure = null;
        var owner = new Thread(() =>
        {
            try
            {
                set_num_threads(3);
                workers = [Count(Name), CountAfterSum(), Released(), CountAfterSum()];
                threads = get_num_threads();
            }
            catch (Exception exception)
            {
                failure = exception;
            }
        })
        { Name = Name };
        owner.Start();
        owner.Join();

        Assert.Null(failure);
        Assert.Equal([0, 2, 0, 2], workers.Select(count => count - workers[0]));
        Assert.Equal(3, threads);

        static int CountAfterSum()
        {
            using var scope = TensorScope.BeginNoGrad();
            Assert.Equal(1 << 22, ones([1 << 22], ScalarType.Float32).sum().item<float>());
            return Count(Name);
        }

        static int Released()
        {
            OpenMpTeam.Release();
            OpenMpTeam.Release(); // and with none left
            return Count(Name);
        }
    }

    [LinuxFact]
    public void Start_starts_the_workers_of_the_calling_thread()
    {
        const string Name = "omp starter";
        int[] workers = [];
        var owner = new Thread(() =>
        {
            workers = [Count(Name)];
            OpenMpTeam.Start(3);
            workers = [.. workers, Count(Name)];
            OpenMpTeam.Release();
            workers = [.. workers, Count(Name)];
        })
        { Name = Name };
        owner.Start();
        owner.Join();
        Assert.Equal([1, 3, 1], workers);
    }

    // A worker's name is there as soon as it runs, and it is gone when the thread that ended it has joined it.
    private static int Count(string name) => Directory.GetDirectories("/proc/self/task").Count(task =>
    {
        try
        {
            return File.ReadAllText(Path.Combine(task, "comm")).Trim() == name;
        }
        catch (IOException)
        {
            return false; // another test's thread ended meanwhile
        }
    });
}
