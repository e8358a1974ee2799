using Grpo.Callbacks;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>Damage in a record that a resumed run keeps is said before anything is added to it.</summary>
public sealed class DamagedRecordTests : IDisposable
{
    private readonly RecordedRun _run = new(Toy.Options);

    public void Dispose() => _run.Dispose();

    // A bit in the payload of each record; heads have a checksum of their own, which opening compares.
    [Theory]
    [InlineData(0, ", in the settings of the run.")]
    [InlineData(1, ", in the record of step 1.")]
    [InlineData(2, ", in the record of step 2.")]
    [InlineData(3, ", in the record of step 3.")]
    public async Task A_flipped_bit_is_found_when_the_run_is_resumed(int frame, string where)
    {
        await _run.TrainAsync();
        byte[] bytes = await File.ReadAllBytesAsync(_run.File);
        FlightFrame damaged;
        using (FlightFile file = FlightFile.OpenRead(_run.File))
        {
            damaged = file.Frames[frame];
        }

        bytes[damaged.Position + 17 + (damaged.Length / 2)] ^= 4;
        await File.WriteAllBytesAsync(_run.File, bytes);

        InvalidDataException problem = await Assert.ThrowsAsync<InvalidDataException>(() => _run.TrainAsync());
        Assert.Equal(
            $"'{_run.File}' is damaged at byte {damaged.Position}{where} "
            + "Put it back from a copy, or move it away: training does not need it.",
            problem.Message);
        Assert.Equal(bytes, await File.ReadAllBytesAsync(_run.File));
    }

    // A real step has more than the 64 KiB that are read at a time; those of the toy have not.
    [Theory]
    [InlineData(0)]
    [InlineData(65_535)]
    [InlineData(65_536)]
    [InlineData(131_080)]
    [InlineData(199_998)]
    public void Verify_finds_a_flipped_bit_at_any_place_of_a_long_record(int place)
    {
        using var folder = new TemporaryFolder();
        string path = folder["long.bin"];
        byte[] payload = [.. Enumerable.Range(0, 199_999).Select(i => (byte)(i % 251))];
        using (FlightFile written = FlightFile.OpenWrite(path))
        {
            written.Append(FlightKind.Step, 1, payload);
            written.Append(FlightKind.Step, 2, payload.AsSpan(..7));
            written.Verify();
        }

        byte[] bytes = File.ReadAllBytes(path);
        bytes[8 + 17 + place] ^= 16; // behind the head of the file and that of the record
        File.WriteAllBytes(path, bytes);
        using FlightFile damaged = FlightFile.OpenRead(path);
        string problem = Assert.Throws<InvalidDataException>(damaged.Verify).Message;
        Assert.Contains("is damaged at byte 8, in the record of step 1.", problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("damaged", "the record of step 4 was damaged and has been removed.")]
    [InlineData("cut", "the record of step 4 was damaged and has been removed.")]
    [InlineData("removed", "has no record of steps 1 to 4, which the checkpoint")]
    public async Task OnStartAsync_says_that_records_are_missing(string what, string expected)
    {
        await _run.TrainAsync();
        byte[] bytes = await File.ReadAllBytesAsync(_run.File);
        if (what == "removed")
        {
            File.Delete(_run.File);
        }
        else if (what == "cut")
        {
            await File.WriteAllBytesAsync(_run.File, bytes[..^9]);
        }
        else
        {
            bytes[^9] ^= 1; // before the last checksum
            await File.WriteAllBytesAsync(_run.File, bytes);
        }

        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var recorder = new FlightRecorder(_run.Output);
        var said = new List<string>();
        await recorder.OnStartAsync(new TrainingStart(4, 9, Toy.Options) { Resumes = true, Checkpoint = "there", Warn = said.Add });
        Assert.Contains(what == "cut" ? "has no record of steps 4 to 4" : expected, Assert.Single(said), StringComparison.Ordinal);
    }

    [Fact]
    public async Task OnStepAsync_says_that_the_file_is_gone()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        using var recorder = new FlightRecorder(folder["run"]);
        await recorder.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        Directory.Delete(folder["run"], recursive: true);
        TrainingStep report = await Toy.RecordedStepAsync(optimizer, recorder);

        IOException problem = await Assert.ThrowsAsync<IOException>(() => recorder.OnStepAsync(report).AsTask());
        Assert.EndsWith("is gone. Put the disk or the folder back, and run it again.", problem.Message, StringComparison.Ordinal);
    }
}
