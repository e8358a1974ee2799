using System.Collections.Concurrent;
using TorchSharp;

namespace Grpo.Tensors;

/// <summary>Does tensor work on the same few threads: one, unless several callers work at a time.</summary>
/// <remarks>
/// An asynchronous step goes on wherever the thread pool has room, and each thread that computes gets a heap of its own for what it frees, and
/// a team of OpenMP workers. On the pool's threads the embedded model held 460 MB after 100 steps and 600 MB after 3,000.
/// </remarks>
internal sealed class TensorThread
{
    // The last to become idle is the first to be used again: the others stay idle.
    private static readonly ConcurrentStack<TensorThread> Idle = new();

    [ThreadStatic]
    private static bool t_isOne;

    private readonly object _gate = new();
    private Task? _work;

    // Not Start: the thread outlives its first caller, whose asynchronous locals it must not keep.
    private TensorThread() => new Thread(Loop) { IsBackground = true, Name = "Grpo tensors" }.UnsafeStart();

    /// <summary>Does work and waits for it.</summary>
    /// <param name="work">What it returns must hold no tensor of a scope that it began.</param>
    /// <remarks>An exception comes through as it was thrown. Activities and other asynchronous locals are the caller's.</remarks>
    public static T Run<T>(Func<T> work) => t_isOne ? work() : RunAsync(work).GetAwaiter().GetResult();

    /// <summary>The same without blocking the caller.</summary>
    /// <param name="work">What it returns must hold no tensor of a scope that it began.</param>
    public static Task<T> RunAsync<T>(Func<T> work)
    {
        TensorThread thread = Idle.TryPop(out TensorThread? idle) ? idle : new TensorThread();
        int threads = torch.get_num_threads();
        OpenMpTeam.Release(); // the caller waits
        var task = new Task<T>(
            () =>
            {
                try
                {
                    UseThreads(threads);
                    return work();
                }
                finally
                {
                    Idle.Push(thread); // before the caller can ask for the next
                }
            },
            TaskCreationOptions.RunContinuationsAsynchronously);
        thread.Begin(task);
        return task;
    }

    // libtorch keeps the number per thread, so what a caller sets would not reach this one.
    private static void UseThreads(int threads)
    {
        if (torch.get_num_threads() != threads)
        {
            torch.set_num_threads(threads);
        }
    }

    private void Begin(Task work)
    {
        lock (_gate)
        {
            _work = work;
            Monitor.Pulse(_gate);
        }
    }

    private Task Next()
    {
        lock (_gate)
        {
            while (_work is null)
            {
                Monitor.Wait(_gate);
            }

            Task next = _work;
            _work = null; // what it holds on to may be large
            return next;
        }
    }

    private void Loop()
    {
        t_isOne = true;
        while (true)
        {
            Next().RunSynchronously(TaskScheduler.Default);
        }
    }
}
