using System.Collections.Concurrent;

namespace Grpo.Scoring;

/// <summary>
/// The thread on which the calls of one scoring begin, one after the other. Reward code that never comes back blocks this thread and nobody
/// else; no thread can be ended from outside, so it is left behind, and the next call gets a new one.
/// </summary>
internal sealed class RewardThread : IDisposable
{
    private readonly BlockingCollection<Action> _calls = [];

    public RewardThread() => new Thread(Run) { IsBackground = true, Name = "Grpo reward" }.Start();

    /// <summary>Starts a call; the outer task ends with the call's first wait, or with its return.</summary>
    public Task<Task<T>> StartAsync<T>(Func<ValueTask<T>> call)
    {
        var begun = new TaskCompletionSource<Task<T>>(TaskCreationOptions.RunContinuationsAsynchronously);
        var context = ExecutionContext.Capture();
        _calls.Add(() =>
        {
            if (context is null)
            {
                Begin();
            }
            else
            {
                ExecutionContext.Run(context, static begin => ((Action)begin!)(), (Action)Begin);
            }
        });
        return begun.Task;

        void Begin()
        {
            try
            {
                begun.SetResult(call().AsTask());
            }
            catch (Exception exception)
            {
                begun.SetResult(Task.FromException<T>(exception));
            }
        }
    }

    /// <summary>Lets the thread end once it has nothing left to do.</summary>
    public void Dispose() => _calls.CompleteAdding();

    private void Run()
    {
        foreach (Action call in _calls.GetConsumingEnumerable())
        {
            call();
        }

        _calls.Dispose();
    }
}
