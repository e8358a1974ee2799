using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Core.Tests.Tensors;

/// <summary>Thirty megabytes that the C library was given back between blocks in use, which is why it keeps them. Linux only.</summary>
internal sealed class FreedBlocks : IDisposable
{
    private const int Count = 512;
    private const int Size = 60_000; // less than what is mapped by itself
    private const int InUseEvery = 16;

    private readonly nint[] _blocks = new nint[Count];

    public FreedBlocks()
    {
        for (int i = 0; i < Count; i++)
        {
            _blocks[i] = Marshal.AllocHGlobal(Size);
            Marshal.Copy(new byte[Size], 0, _blocks[i], Size);
        }

        for (int i = 0; i < Count; i++)
        {
            if (!IsInUse(i))
            {
                Marshal.FreeHGlobal(_blocks[i]);
            }
        }
    }

    /// <summary>The fraction of the freed pages that are still in memory.</summary>
    public double Resident()
    {
        using SafeFileHandle map = File.OpenHandle("/proc/self/pagemap"); // eight bytes a page, of which bit 63 says that it is there
        var entry = new byte[8];
        int pages = 0, present = 0;
        for (int i = 0; i < Count; i++)
        {
            long first = (_blocks[i] + Environment.SystemPageSize - 1) / Environment.SystemPageSize;
            for (long page = first; !IsInUse(i) && (page + 1) * Environment.SystemPageSize <= _blocks[i] + Size; page++)
            {
                Assert.Equal(entry.Length, RandomAccess.Read(map, entry, page * entry.Length));
                present += (int)(BinaryPrimitives.ReadUInt64LittleEndian(entry) >> 63);
                pages++;
            }
        }

        return (double)present / pages;
    }

    public void Dispose()
    {
        for (int i = 0; i < Count; i++)
        {
            if (IsInUse(i))
            {
                Marshal.FreeHGlobal(_blocks[i]);
            }
        }
    }

    private static bool IsInUse(int block) => block % InUseEvery == InUseEvery - 1;
}
