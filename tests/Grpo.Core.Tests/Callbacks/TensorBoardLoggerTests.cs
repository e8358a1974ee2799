using System.Buffers.Binary;
using System.Text;
using Grpo.Callbacks;
using Grpo.Testing;
using Grpo.Training;
using Tensorboard;

namespace Grpo.Core.Tests.Callbacks;

public sealed class TensorBoardLoggerTests
{
    [Fact]
    public async Task OnStepAsync_writes_every_metric_of_the_step()
    {
        using var folder = new TemporaryFolder();
        TrainingStep report = StepMetricsTests.FullReport();
        long start = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        using (var logger = new TensorBoardLogger(folder["tb"]))
        {
            await logger.OnStepAsync(report);
            await logger.OnStepAsync(report with { Report = report.Report with { Step = 1L << 40, Accuracy = null } });
            Assert.Equal(3, Read(folder["tb"]).Length); // flushed: whole records while the run goes on
        }

        Event[] events = Read(folder["tb"]);
        Assert.Equal("brain.Event:2", events[0].FileVersion);
        Assert.Equal([0, 7, 1L << 40], events.Select(item => item.Step));
        // seconds since 1970
        Assert.All(events, item => Assert.InRange(item.WallTime, start, DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 1));
        Assert.Equal(
            StepMetrics.From(report).Where(metric => metric.Key != "step").Select(metric => (metric.Key, (float)metric.Value)),
            events[1].Summary.Value.Select(value => (value.Tag, value.SimpleValue)));
        Assert.Contains(events[1].Summary.Value, value => value.Tag == "eval/accuracy");
        Assert.DoesNotContain(events[2].Summary.Value, value => value.Tag == "accuracy");
    }

    [Fact]
    public async Task OnStartAsync_tells_tensorboard_which_steps_come_again()
    {
        using var folder = new TemporaryFolder();
        using (var logger = new TensorBoardLogger(folder.Path))
        {
            await logger.OnStartAsync(new TrainingStart(6, 9, new GrpoOptions()) { Resumes = true });
            await logger.OnEvaluationAsync(6, StepMetricsTests.FullReport().Evaluation!);
        }

        Event[] events = Read(folder.Path);
        // what is on file from step 7 on is dropped
        Assert.Equal((7, SessionLog.Types.SessionStatus.Start), (events[1].Step, events[1].SessionLog.Status));
        Assert.Equal(6, events[2].Step);
        Assert.All(events[2].Summary.Value, value => Assert.StartsWith("eval/", value.Tag, StringComparison.Ordinal));
    }

    [Fact]
    public async Task OnStartAsync_writes_nothing_for_a_new_run()
    {
        using var folder = new TemporaryFolder();
        using (var logger = new TensorBoardLogger(folder.Path))
        {
            await logger.OnStartAsync(new TrainingStart(0, 9, new GrpoOptions()));
        }

        Assert.Single(Read(folder.Path));
    }

    [Fact]
    public async Task OnStepAsync_writes_the_framing_that_tensorboard_reads()
    {
        using var folder = new TemporaryFolder();
        using (var logger = new TensorBoardLogger(folder.Path))
        {
            await logger.OnStepAsync(StepMetricsTests.FullReport());
        }

        byte[] file = await File.ReadAllBytesAsync(Assert.Single(Directory.GetFiles(folder.Path)));
        // The length of the first record, 24, and the masked CRC-32C of its eight bytes, as every event file begins.
        Assert.Equal([24, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22], file[..12]);
        Assert.Equal(0xE3069283u, Crc32C(Encoding.ASCII.GetBytes("123456789"))); // the test's own CRC, against the standard's check value
    }

    [Fact]
    public async Task Two_loggers_of_one_folder_write_two_files()
    {
        using var folder = new TemporaryFolder();
        using var first = new TensorBoardLogger(folder.Path);
        using var second = new TensorBoardLogger(folder.Path);
        await first.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        await second.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        Assert.Equal(2, Directory.GetFiles(folder.Path, "events.out.tfevents.*").Length);
    }

    [Fact]
    public async Task OnStartAsync_says_which_folder_cannot_be_written()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["file"], "");
        using var logger = new TensorBoardLogger(folder["file"]);
        var exception = await Assert.ThrowsAsync<IOException>(() => logger.OnStartAsync(new TrainingStart(0, 9, Toy.Options)).AsTask());
        Assert.StartsWith($"The TensorBoard folder '{folder["file"]}' cannot be written:", exception.Message, StringComparison.Ordinal);
    }

    // Written apart from the logger: bit by bit, from the polynomial.
    private static Event[] Read(string folder)
    {
        using var stream = new FileStream(Assert.Single(Directory.GetFiles(folder)), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var buffer = new MemoryStream();
        stream.CopyTo(buffer);
        byte[] file = buffer.ToArray();
        var events = new List<Event>();
        for (int position = 0; position < file.Length;)
        {
            int length = (int)BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(position));
            Assert.Equal(Mask(Crc32C(file.AsSpan(position, 8))), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(position + 8)));
            byte[] body = file[(position + 12)..(position + 12 + length)];
            Assert.Equal(Mask(Crc32C(body)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(position + 12 + length)));
            events.Add(Event.Parser.ParseFrom(body));
            position += 12 + length + 4;
        }

        return [.. events];
    }

    private static uint Mask(uint crc) => ((crc >> 15) | (crc << 17)) + 0xA282EAD8;

    private static uint Crc32C(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in data)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78);
            }
        }

        return ~crc;
    }
}
