using System.Runtime.ExceptionServices;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>A team of threads that shares short pieces of work with its caller, one after the other.</summary>
/// <remarks>
/// The threads spin between two pieces, so that even a piece of some microseconds is worth sharing; between two sections they sleep. Every
/// thread, the caller included, takes the blocks of a piece one by one. If other programs hold the cores, the caller does all blocks
/// itself. One thread does a whole block, so results do not depend on the number of threads.
/// </remarks>
internal sealed class ThreadTeam : IDisposable
{
    /// <summary>The largest number of blocks in a piece.</summary>
    internal const int MaxBlocks = (1 << CountBits) - 1;

    private const int SpinsBeforeYield = 2000;         // some tens of microseconds
    private const int CountBits = 16;

    private readonly Thread?[] _helpers;
    private readonly ManualResetEventSlim _isInSection = new(initialState: false);
    private Action<int, int>? _work;
    private Exception? _failure;
    private long _ticket;                              // piece number | number of blocks (16 bits) | blocks taken (16 bits)
    private int _blocksToDo;
    private volatile bool _isStopped;

    /// <param name="members">The number of threads that work, the caller included.</param>
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
                helper.UnsafeStart(); // does not capture the caller's asynchronous locals
                _helpers[i] = helper;
            }
        }
        catch
        {
            Dispose(); // no more threads: stop those that were started
            throw;
        }
    }

    /// <summary>The number of threads that work, the caller included.</summary>
    internal int Members { get; }

    /// <summary>Wakes the threads before the first piece of a section.</summary>
    internal void BeginSection() => _isInSection.Set();

    /// <summary>Lets the threads sleep after the last piece of a section.</summary>
    internal void EndSection() => _isInSection.Reset();

    /// <summary>Does a piece of work and returns when all of it is done. Only one caller at a time.</summary>
    /// <param name="blocks">The number of blocks, at most <see cref="MaxBlocks"/>.</param>
    /// <param name="work">
    /// The work on a block. It gets the number of the block and of the thread, which is below <see cref="Members"/>.
    /// </param>
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

        _work = null; // releases what the delegate references: the threads keep this object alive
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

    // Piece, length and taken blocks change in one exchange. So no thread takes a block of a finished piece.
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
