using System.Buffers.Binary;
using System.Numerics;
using Grpo.Checkpoints;
using Grpo.IO;

namespace Grpo.Callbacks;

/// <summary>The file of a flight recorder: a signature of eight bytes, then records, each appended in one write.</summary>
/// <remarks>
/// A record is a head of 17 bytes (length of the payload, 4; kind, 1; step, 8; CRC-32C of these 13, 4), the payload, and its CRC-32C. All
/// numbers are little-endian. The head has a checksum of its own for two reasons: a wrong length can be distinguished from a record that
/// was truncated when the process died, and the records can be listed without reading their payloads.
/// </remarks>
internal sealed class FlightFile : IDisposable
{
    public const string FileName = "flight.bin";

    /// <summary>The suffix of the lock file's name.</summary>
    public const string LockSuffix = ".lock";

    /// <summary>The maximum length of a payload in bytes.</summary>
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

    /// <summary>True if the last record is incomplete, because the process died while writing it or is still writing.</summary>
    public bool IsCutShort { get; private set; }

    /// <summary>The step whose record was last and damaged, so that opening removed it; null if there was none.</summary>
    public long? RemovedStep { get; private set; }

    /// <summary>Opens an existing file for reading, while another process may append to it.</summary>
    /// <exception cref="InvalidDataException">The file is not a flight record, has another version, or is damaged.</exception>
    public static FlightFile OpenRead(string path) =>
        Open(path, new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0), hold: null);

    /// <summary>Opens or creates a file for appending, and removes an incomplete record at its end.</summary>
    /// <remarks>
    /// Only one writer at a time: a separate lock file is held until the file is disposed. Outside of Windows, a lock on the file itself
    /// would either admit a second writer or exclude readers. The lock file stays, but the system releases the lock when the process ends.
    /// </remarks>
    /// <exception cref="InvalidDataException">The file is not a flight record, has another version, or is damaged.</exception>
    /// <exception cref="IOException">Another recorder is writing the file, or it cannot be opened.</exception>
    public static FlightFile OpenWrite(string path)
    {
        FileStream hold = Hold(path);
        FlightFile? file = null;
        try
        {
            file = Open(path, new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0), hold);

            // After a power failure the disk may have the length of the file but not the payload.
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

    /// <summary>Reads the payload of a record.</summary>
    /// <exception cref="InvalidDataException">The payload is damaged.</exception>
    public byte[] Read(FlightFrame frame) => TryRead(frame, out byte[] payload) ? payload : throw Damaged(frame.Position);

    /// <summary>Appends a record. <see cref="Flush"/> writes it to the disk.</summary>
    /// <exception cref="InvalidOperationException">The payload is too long, or the file already has the step or a later one.</exception>
    public void Append(FlightKind kind, long step, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > MaxLength)
        {
            throw new InvalidOperationException(
                $"The record of step {step} has {payload.Length} bytes; the limit is {MaxLength}. "
                + "Sample fewer tokens a step, or switch the recorder off.");
        }

        if (kind == FlightKind.Step && LastStep is { } last && step <= last)
        {
            throw new InvalidOperationException(
                $"'{_path}' has step {last} already and cannot take step {step}: a step is recorded once, in order.");
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

    /// <summary>The last step in the file; null if there is none.</summary>
    public long? LastStep => _frames.FindLastIndex(frame => frame.Kind == FlightKind.Step) is >= 0 and var index
        ? _frames[index].Step
        : null;

    /// <summary>Removes all steps after the given one.</summary>
    public void CutAfter(long step)
    {
        int first = _frames.FindIndex(frame => frame.Kind == FlightKind.Step && frame.Step > step);
        if (first >= 0)
        {
            Truncate(first);
        }
    }

    /// <summary>Compares every payload with its checksum, in a fixed amount of memory.</summary>
    /// <exception cref="InvalidDataException">A record is damaged; the message names its step.</exception>
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

    /// <summary>Flushes all appended records to the disk.</summary>
    /// <exception cref="IOException">The disk is full, or the file is missing.</exception>
    public void Flush()
    {
        _file.Flush(flushToDisk: true);
        WriteFailure.RequireThere(_path, _file.Length);
    }

    public void Dispose()
    {
        _file.Dispose();
        _hold?.Dispose(); // last, so that no other writer starts before the file is closed
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
                throw new InvalidDataException(
                    $"'{_path}' has a record of kind {head[4]} and {payload} bytes at byte {_end}, which no version of this format has.");
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
        payload = new byte[frame.Length]; // at most the length of the file, which Scan has checked
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
            _file.SetLength(_end); // removes the remains of a write that failed
        }

        _file.Position = _end;
        _file.Write(bytes);
        _end += bytes.Length;
    }

    // After a power failure, a file that was being extended may end in zeros.
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

/// <summary>The kind and position of a record in the file, without its payload.</summary>
/// <param name="Kind">The kind of record.</param>
/// <param name="Step">The step of the record; 0 for <see cref="FlightKind.Settings"/>.</param>
/// <param name="Position">The position of the first byte in the file.</param>
/// <param name="Length">The length of the payload in bytes.</param>
internal readonly record struct FlightFrame(FlightKind Kind, long Step, long Position, int Length);

/// <summary>The kind of a record.</summary>
internal enum FlightKind : byte
{
    Settings = 1,
    Step = 2,
}
