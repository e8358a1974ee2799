using Grpo.IO;
using Grpo.Testing;

namespace Grpo.Core.Tests.IO;

public sealed class WriteFailureTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // The codes of a full disk, and of a share of it that is used up; others are something else.
    [Theory]
    [InlineData("Linux", 28, true)]
    [InlineData("Linux", 122, true)]
    [InlineData("Linux", 13, false)]
    [InlineData("Linux", 30, false)] // read-only
    [InlineData("macOS", 28, true)]
    [InlineData("macOS", 69, true)]
    [InlineData("Windows", unchecked((int)0x80070070), true)]
    [InlineData("Windows", unchecked((int)0x80070027), true)]
    [InlineData("Windows", unchecked((int)0x8007050F), true)] // quota
    [InlineData("Windows", unchecked((int)0x80070005), false)]
    public void IsDiskFull_knows_the_codes_of_each_system(string system, int code, bool expected)
    {
        if (system == (OperatingSystem.IsWindows() ? "Windows" : OperatingSystem.IsMacOS() ? "macOS" : "Linux"))
        {
            var cause = new IOException("no", code);
            Assert.Equal(expected, WriteFailure.IsDiskFull(cause, _folder.Path));
            Assert.Equal(expected, WriteFailure.IsDiskFull(new IOException("outer", cause), _folder.Path));
            Assert.Equal(expected ? WriteFailure.FreeSpace : "other", WriteFailure.Remedy(cause, _folder.Path, "other"));
        }
    }

    [Fact]
    public void DiskFull_is_told_as_one() =>
        Assert.True(WriteFailure.IsDiskFull(WriteFailure.DiskFull("no room", new IOException("reserved")), _folder.Path));

    [Theory]
    [InlineData("there")]
    [InlineData("not/there/yet")]
    public void FindSpace_looks_at_the_disk_that_a_path_will_be_on(string path)
    {
        Directory.CreateDirectory(_folder["there"]);
        Assert.True(WriteFailure.FindSpace(_folder[path]) is { Free: >= 0, Total: > 0 });
    }

    [Fact]
    public void Remedy_of_a_file_that_has_vanished_is_to_put_it_back() =>
        Assert.Equal(WriteFailure.PutBack, WriteFailure.Remedy(new FileNotFoundException("gone"), _folder.Path, "other"));
}
