using System.Runtime.ExceptionServices;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Threads that share short pieces of work, one after the other, with a thread that calls: between two pieces they spin, so a piece of some
/// microseconds is worth sharing, and between two sections they sleep.
/// </summary>
/// <remarks>
/// The blocks of a piece are taken one by one, by the caller too: where the others do not come in time, because something else has their
/// core, it does all of them itself. A block is always done by one thread as a whole, so results do not depend on the number of threads.
/// </remarks>
internal sealed class ThreadTeam : IDisposable
{
    /// <summary>Blocks of a piece, at most.</summary>
    internal const int MaxBlocks = (1 << CountBits) - 1;

    private const int SpinsBeforeYield = 2000;         // some tens of microseconds
    private const int CountBits = 16;

    private readonly Thread?[] _helpers;
    private readonly ManualResetEventSlim _isInSection = new(initialState: false);
    private Action<int, int>? _work;
    private Exception? _failure;
    private long _ticket;                              // number of the piece | its blocks | blocks taken, 16 bits each for the last two
    private int _blocksToDo;
    private volatile bool _isStopped;

    /// <param name="members">Threads that work, the caller included.</param>
    internal ThreadTeam(int members)
    {
        Members = members;
        _helpers = new Thread[members - 1];
        try
        {
            for (int i = 0; i < _helpers.Length; i++)
            {
                int member = i + 1;
                var helper = new Thread(() => Help(member)) { IsBackground = true, Name = $"Grpo decoding {member}" };
                helper.UnsafeStart(); // without the caller's asynchronous locals, which it would keep
                _helpers[i] = helper;
            }
        }
        catch
        {
            Dispose(); // no thread can be had any more: those that were are not left behind
            throw;
        }
    }

    /// <summary>Threads that work, the caller included.</summary>
    internal int Members { get; }

    /// <summary>Wakes the helpers: pieces are coming.</summary>
    internal void BeginSection() => _isInSection.Set();

    /// <summary>Lets the helpers sleep.</summary>
    internal void EndSection() => _isInSection.Reset();

    /// <summary>Does a piece of work; returns when all of it is done. One caller at a time.</summary>
    /// <param name="blocks">At most <see cref="MaxBlocks"/>.</param>
    /// <param name="work">Gets the number of a block and of the thread that does it, which is below <see cref="Members"/>.</param>
    internal void Run(int blocks, Action<int, int> work)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(blocks, MaxBlocks);
        if (blocks <= 1 || _helpers.Length == 0)
        {
            for (int block = 0; block < blocks; block++)
            {
                work(block, 0);
            }

            return;
        }

        _work = work;
        _blocksToDo = blocks;
        long piece = (_ticket >> (2 * CountBits)) + 1;
        Volatile.Write(ref _ticket, (piece << (2 * CountBits)) | ((long)blocks << CountBits));
        while (TryTakeBlock(out int block))
        {
            Do(block, member: 0);
        }

        for (int spins = 0; Volatile.Read(ref _blocksToDo) > 0; spins++)
        {
            Pause(spins);
        }

        _work = null; // what it holds on to is large, and the helpers hold on to this
        if (_failure is { } failure)
        {
            _failure = null;
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    public void Dispose()
    {
        _isStopped = true;
        _isInSection.Set();
        foreach (Thread? helper in _helpers)
        {
            helper?.Join();
        }

        _isInSection.Dispose();
    }

    private void Help(int member)
    {
        for (int spins = 0; !_isStopped; spins++)
        {
            if (TryTakeBlock(out int block))
            {
                Do(block, member);
                spins = 0;
            }
            else if (!_isInSection.IsSet)
            {
                _isInSection.Wait();
                spins = 0;
            }
            else
            {
                Pause(spins);
            }
        }
    }

    // The piece, its length and what is taken change together: nobody takes a block of a piece that is over.
    private bool TryTakeBlock(out int block)
    {
        while (true)
        {
            long ticket = Volatile.Read(ref _ticket);
            block = (int)(ticket & MaxBlocks);
            if (block >= ((ticket >> CountBits) & MaxBlocks))
            {
                return false;
            }

            if (Interlocked.CompareExchange(ref _ticket, ticket + 1, ticket) == ticket)
            {
                return true;
            }
        }
    }

    private void Do(int block, int member)
    {
        try
        {
            _work!(block, member);
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref _failure, exception, null); // thrown by Run
        }
        finally
        {
            Interlocked.Decrement(ref _blocksToDo);
        }
    }

    private static void Pause(int spins)
    {
        if (spins < SpinsBeforeYield)
        {
            Thread.SpinWait(1);
        }
        else
        {
            Thread.Yield();
        }
    }
}
