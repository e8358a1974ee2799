using System.Buffers.Binary;
using System.Numerics;
using Grpo.Checkpoints;
using Grpo.IO;

namespace Grpo.Callbacks;

/// <summary>The file of a flight recorder: eight bytes that say so, then records, each appended in one go.</summary>
/// <remarks>
/// A record is a head of 17 bytes (length of the payload, 4; kind, 1; step, 8; CRC-32C of these 13, 4), the payload, and its CRC-32C. The head has
/// a checksum of its own, so that a wrong length is told from a record that was cut short when the process died, and so that the records can be
/// found without reading them. Little-endian.
/// </remarks>
internal sealed class FlightFile : IDisposable
{
    public const string FileName = "flight.bin";

    /// <summary>Ends the name of the lock beside the file.</summary>
    public const string LockSuffix = ".lock";

    /// <summary>The longest payload.</summary>
    public const int MaxLength = 1 << 30;

    private const int HeadLength = 17;
    private const int SumLength = 4;

    private static readonly byte[] Magic = [.. "GRPOFLT"u8, 1]; // the last byte is the version of the format

    private readonly string _path;
    private readonly FileStream _file;
    private readonly FileStream? _hold;
    private readonly List<FlightFrame> _frames = [];
    private long _end;

    private FlightFile(string path, FileStream file, FileStream? hold)
    {
        _path = path;
        _file = file;
        _hold = hold;
    }

    /// <summary>The records, in the order of the file.</summary>
    public IReadOnlyList<FlightFrame> Frames => _frames;

    /// <summary>Whether the last record is incomplete: the process died while it was written, or is writing it.</summary>
    public bool IsCutShort { get; private set; }

    /// <summary>The step whose record was the last one and damaged, so that opening has removed it; null where there was none.</summary>
    public long? RemovedStep { get; private set; }

    /// <summary>Opens an existing file to read, while another may append to it.</summary>
    /// <exception cref="InvalidDataException">It is no such file, of another version, or damaged.</exception>
    public static FlightFile OpenRead(string path) =>
        Open(path, new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0), hold: null);

    /// <summary>Opens a file to append to, or makes it. What an earlier process left incomplete at its end is removed.</summary>
    /// <remarks>
    /// One at a time: a lock beside the file is held until it is disposed. One on the file itself would, outside of Windows, either let a
    /// second writer in or keep the readers out. The lock's file stays; the system lets go of it when the process ends.
    /// </remarks>
    /// <exception cref="InvalidDataException">It is no such file, of another version, or damaged.</exception>
    /// <exception cref="IOException">Somebody else is writing it, or it cannot be opened.</exception>
    public static FlightFile OpenWrite(string path)
    {
        FileStream hold = Hold(path);
        FlightFile? file = null;
        try
        {
            file = Open(path, new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0), hold);

            // After a power failure the length may be on the disk and the payload not.
            if (file._frames.Count > 0 && !file.TryRead(file._frames[^1], out _))
            {
                file.RemovedStep = file.LastStep;
                file.Truncate(file._frames.Count - 1);
            }

            file._file.SetLength(file._end);
            if (file._end == 0)
            {
                file.Write(Magic);
            }

            return file;
        }
        catch
        {
            file?.Dispose();
            hold.Dispose();
            throw;
        }
    }

    /// <summary>The payload of a record.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public byte[] Read(FlightFrame frame) => TryRead(frame, out byte[] payload) ? payload : throw Damaged(frame.Position);

    /// <summary>Appends a record; <see cref="Flush"/> puts it on the disk.</summary>
    /// <exception cref="InvalidOperationException">The payload is too long, or the file has that step, or a later one, already.</exception>
    public void Append(FlightKind kind, long step, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > MaxLength)
        {
            throw new InvalidOperationException($"The record of step {step} has {payload.Length} bytes; the limit is {MaxLength}. Sample fewer tokens a step, or switch the recorder off.");
        }

        if (kind == FlightKind.Step && LastStep is { } last && step <= last)
        {
            throw new InvalidOperationException($"'{_path}' has step {last} already and cannot take step {step}: a step is recorded once, in order.");
        }

        byte[] record = new byte[HeadLength + payload.Length + SumLength];
        BinaryPrimitives.WriteInt32LittleEndian(record, payload.Length);
        record[4] = (byte)kind;
        BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(5), step);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(13), Checksum(record.AsSpan(0, 13)));
        payload.CopyTo(record.AsSpan(HeadLength));
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(HeadLength + payload.Length), Checksum(payload));
        long position = _end;
        Write(record);
        _frames.Add(new FlightFrame(kind, step, position, payload.Length));
    }

    /// <summary>The last step; null when there is none.</summary>
    public long? LastStep => _frames.FindLastIndex(frame => frame.Kind == FlightKind.Step) is >= 0 and var index ? _frames[index].Step : null;

    /// <summary>Removes the steps after one.</summary>
    public void CutAfter(long step)
    {
        int first = _frames.FindIndex(frame => frame.Kind == FlightKind.Step && frame.Step > step);
        if (first >= 0)
        {
            Truncate(first);
        }
    }

    /// <summary>Compares every payload with its checksum, in a fixed amount of memory.</summary>
    /// <exception cref="InvalidDataException">One is damaged; the message names its step.</exception>
    public void Verify()
    {
        byte[] block = new byte[1 << 16];
        Span<byte> sum = stackalloc byte[SumLength];
        foreach (FlightFrame frame in _frames)
        {
            uint state = uint.MaxValue;
            for (int done = 0; done < frame.Length; done += block.Length)
            {
                Span<byte> part = block.AsSpan(0, Math.Min(block.Length, frame.Length - done));
                Read(frame.Position + HeadLength + done, part);
                state = Add(state, part);
            }

            Read(frame.Position + HeadLength + frame.Length, sum);
            if (~state != BinaryPrimitives.ReadUInt32LittleEndian(sum))
            {
                bool isStep = frame.Kind == FlightKind.Step;
                throw Damaged(frame.Position, isStep ? $", in the record of step {frame.Step}" : ", in the settings of the run");
            }
        }
    }

    /// <summary>Everything appended is on the disk afterwards.</summary>
    /// <exception cref="IOException">The disk is full, or the file has vanished.</exception>
    public void Flush()
    {
        _file.Flush(flushToDisk: true);
        WriteFailure.RequireThere(_path, _file.Length);
    }

    public void Dispose()
    {
        _file.Dispose();
        _hold?.Dispose(); // last: nobody else may write before
    }

    private static FileStream Hold(string path)
    {
        try
        {
            return new FileStream(path + LockSuffix, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException exception) when (RunLock.IsHeld(exception))
        {
            throw new IOException("Another recorder is writing it, in this process or another.", exception);
        }
    }

    private static FlightFile Open(string path, FileStream stream, FileStream? hold)
    {
        var file = new FlightFile(path, stream, hold);
        try
        {
            file.Scan();
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void Scan()
    {
        long length = _file.Length;
        byte[] start = new byte[Math.Min(length, Magic.Length)];
        Read(0, start);
        if (!Magic.AsSpan(0, start.Length).SequenceEqual(start))
        {
            throw new InvalidDataException(start.AsSpan().StartsWith(Magic.AsSpan(..^1))
                ? $"'{_path}' has format {start[^1]}; this version reads format {Magic[^1]}."
                : $"'{_path}' is no flight record: it begins with other bytes.");
        }

        if (length < Magic.Length)
        {
            IsCutShort = length > 0;
            return;
        }

        _end = Magic.Length;
        Span<byte> head = stackalloc byte[HeadLength];
        while (length - _end >= HeadLength)
        {
            Read(_end, head);
            int payload = BinaryPrimitives.ReadInt32LittleEndian(head);
            if (Checksum(head[..13]) != BinaryPrimitives.ReadUInt32LittleEndian(head[13..]))
            {
                IsCutShort = IsZeroFrom(_end, length) ? true : throw Damaged(_end);
                return;
            }

            var frame = new FlightFrame((FlightKind)head[4], BinaryPrimitives.ReadInt64LittleEndian(head[5..]), _end, payload);
            if (payload is < 0 or > MaxLength || !Enum.IsDefined(frame.Kind))
            {
                throw new InvalidDataException($"'{_path}' has a record of kind {head[4]} and {payload} bytes at byte {_end}, which no version of this format has.");
            }

            long end = _end + HeadLength + payload + SumLength;
            if (end > length)
            {
                break;
            }

            _frames.Add(frame);
            _end = end;
        }

        IsCutShort = _end < length;
    }

    private void Truncate(int frames)
    {
        _end = _frames[frames].Position;
        _frames.RemoveRange(frames, _frames.Count - frames);
        _file.SetLength(_end);
        Flush();
    }

    private bool TryRead(FlightFrame frame, out byte[] payload)
    {
        payload = new byte[frame.Length]; // no more than the file holds: Scan has seen its end
        Span<byte> sum = stackalloc byte[SumLength];
        Read(frame.Position + HeadLength, payload);
        Read(frame.Position + HeadLength + frame.Length, sum);
        return Checksum(payload) == BinaryPrimitives.ReadUInt32LittleEndian(sum);
    }

    private void Read(long position, Span<byte> bytes)
    {
        _file.Position = position;
        _file.ReadExactly(bytes);
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        if (_file.Length > _end)
        {
            _file.SetLength(_end); // the remains of a write that failed
        }

        _file.Position = _end;
        _file.Write(bytes);
        _end += bytes.Length;
    }

    // A file that was extended before a power failure ends in zeros.
    private bool IsZeroFrom(long position, long length)
    {
        byte[] block = new byte[1 << 16];
        for (; position < length; position += block.Length)
        {
            Span<byte> part = block.AsSpan(0, (int)Math.Min(block.Length, length - position));
            Read(position, part);
            if (part.ContainsAnyExcept((byte)0))
            {
                return false;
            }
        }

        return true;
    }

    private InvalidDataException Damaged(long position, string where = "") => new(
        $"'{_path}' is damaged at byte {position}{where}. Put it back from a copy, or move it away: training does not need it.");

    // CRC-32C.
    private static uint Checksum(ReadOnlySpan<byte> bytes) => ~Add(uint.MaxValue, bytes);

    private static uint Add(uint sum, ReadOnlySpan<byte> bytes)
    {
        while (bytes.Length >= sizeof(ulong))
        {
            sum = BitOperations.Crc32C(sum, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (byte value in bytes)
        {
            sum = BitOperations.Crc32C(sum, value);
        }

        return sum;
    }
}
