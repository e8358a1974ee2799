using System.Runtime.InteropServices;

namespace Grpo.Core.Tests.Tensors;

public sealed partial class NativeEnvironmentTests
{
    [LinuxFact]
    public void Install_sets_for_native_code_what_the_user_has_not_set()
    {
        TorchBackend.Install();
        Assert.Equal(Environment.GetEnvironmentVariable("THP_MEM_ALLOC_ENABLE") ?? "1", Native("THP_MEM_ALLOC_ENABLE"));
        string? spin = Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null ? "10000" : null;
        Assert.Equal(Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") ?? spin, Native("GOMP_SPINCOUNT"));
    }

    private static string? Native(string name) => Marshal.PtrToStringUTF8(GetEnvironment(name));

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint GetEnvironment(string name);
}
