using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>Float32 numbers whose bits can be worked on in place.</summary>
/// <param name="Floats">[rows, columns] float32.</param>
/// <param name="Bits">The same memory as int32.</param>
internal readonly record struct MomentBuffer(Tensor Floats, Tensor Bits)
{
    // TorchSharp does not expose the view of another type; a script of one line does. 3 is int32.
    private const string Script =
        """
        def bits(values: Tensor):
            return values.view(dtype=3)

        """;

    private static readonly Lazy<jit.CompilationUnit> Compiled = new(() => jit.compile(Script));

    /// <summary>Memory for numbers, zero at first. Owned by the caller's scope.</summary>
    public static MomentBuffer Allocate(long rows, long columns, Device device)
    {
        Tensor floats = zeros([rows, columns], ScalarType.Float32, device);
        return new MomentBuffer(floats, (Tensor)Compiled.Value.invoke("bits", floats));
    }

    /// <summary>A view of the first rows, in the caller's scope.</summary>
    public MomentBuffer Rows(long rows) => new(Floats.narrow(0, 0, rows), Bits.narrow(0, 0, rows));

    /// <summary>A view of the first numbers, [length], in the caller's scope.</summary>
    public Tensor Numbers(long length) => Floats.view(-1).narrow(0, 0, length);
}
