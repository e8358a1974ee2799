using System.Runtime.InteropServices;
using System.Text;
using Grpo.Tensors;

namespace Grpo.Core.Tests.Tensors;

public sealed class NativeEnvironmentTests
{
    [LinuxFact]
    public void Install_sets_for_native_code_what_the_user_has_not_set()
    {
        TorchBackend.Install();
        Assert.Equal(Environment.GetEnvironmentVariable("THP_MEM_ALLOC_ENABLE") ?? "1", Native("THP_MEM_ALLOC_ENABLE"));
        string? spin = Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null ? "10000" : null;
        Assert.Equal(Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") ?? spin, Native("GOMP_SPINCOUNT"));
    }

    private static string? Native(string name) => Marshal.PtrToStringUTF8(GetEnvironment(Encoding.UTF8.GetBytes(name + '\0')));

    [DllImport("libc", EntryPoint = "getenv")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint GetEnvironment(byte[] name);
}
