using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class NativeLoadTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    [LinuxFact]
    public void TryLoad_reports_a_cut_library_before_the_system_dies_of_it()
    {
        File.WriteAllBytes(_file, SyntheticElf.Build()[..700]);
        Assert.Equal(0, NativeLoad.TryLoad(_file, out string? reason));
        Assert.Equal("The file has 700 bytes but its own table ends at 784: it is incomplete. Copy or restore it again.", reason);
    }

    [LinuxFact]
    public void TryLoad_reports_a_cut_header()
    {
        File.WriteAllBytes(_file, SyntheticElf.Build()[..63]);
        Assert.Equal(0, NativeLoad.TryLoad(_file, out string? reason));
        Assert.Equal("The file has 63 bytes: it is incomplete. Copy or restore it again.", reason);
    }

    [Fact]
    public void TryLoad_reports_a_file_of_another_kind()
    {
        File.WriteAllBytes(_file, new byte[4096]);
        Assert.Equal(0, NativeLoad.TryLoad(_file, out string? reason));
        Assert.NotEmpty(reason!);
    }

    [Fact]
    public void FindTruncation_accepts_a_whole_library()
    {
        File.WriteAllBytes(_file, SyntheticElf.Build());
        Assert.Null(NativeLoad.FindTruncation(_file));
    }

    [Fact]
    public void Reason_keeps_what_the_loader_said_and_drops_the_advice() =>
        Assert.Equal(
            "liba.so: cannot open shared object file; libb.so: wrong ELF class.",
            NativeLoad.Reason(new DllNotFoundException(
                "Unable to load. Consider strace: \nliba.so: cannot open shared object file\nlibb.so: wrong ELF class\n")));
}
