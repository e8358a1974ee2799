using System.Collections.Concurrent;

namespace Grpo.Scoring;

/// <summary>
/// The thread on which the calls of one scoring start, one after the other. A call that never returns blocks only this thread, which is
/// then abandoned.
/// </summary>
internal sealed class RewardThread : IDisposable
{
    private readonly BlockingCollection<Action> _calls = [];

    public RewardThread() => new Thread(Run) { IsBackground = true, Name = "Grpo reward" }.Start();

    /// <summary>Starts a call. The outer task completes when the call first waits or returns.</summary>
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

    /// <summary>Ends the thread once its calls are done.</summary>
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
