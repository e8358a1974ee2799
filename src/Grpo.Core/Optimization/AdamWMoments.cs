using Grpo.IO;
using Grpo.Planning;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>The first and second moments of all trained parameters, in one of the formats of <see cref="OptimizerMoments"/>.</summary>
/// <remarks>
/// A checkpoint stores the moments in their own format, so that a run resumes exactly. Float32 and 8-bit moments can also be loaded from
/// each other's checkpoints; they are converted one parameter at a time.
/// </remarks>
internal abstract class AdamWMoments : IDisposable
{
    private readonly (string Name, Parameter Parameter)[] _parameters;

    private protected AdamWMoments(IReadOnlyList<(string Name, Parameter Parameter)> parameters) => _parameters = [.. parameters];

    /// <summary>Creates moments that are zero.</summary>
    /// <param name="kind">The place and the precision of the moments.</param>
    /// <param name="parameters">The trained parameters.</param>
    /// <exception cref="InvalidOperationException">The moments do not fit into memory.</exception>
    public static AdamWMoments Create(OptimizerMoments kind, IReadOnlyList<(string Name, Parameter Parameter)> parameters)
    {
        try
        {
            return kind switch
            {
                OptimizerMoments.Float32 => new FloatMoments(parameters, inMainMemory: false),
                OptimizerMoments.Host => new FloatMoments(parameters, inMainMemory: true),
                OptimizerMoments.Int8 => new ByteMoments(parameters),
                _ => throw new ArgumentOutOfRangeException(
                    nameof(kind), kind, $"Must be one of {string.Join(", ", Enum.GetNames<OptimizerMoments>())}."),
            };
        }
        catch (Exception exception) when (OutOfMemory.Is(exception))
        {
            string place = kind == OptimizerMoments.Host ? "cpu" : parameters[0].Parameter.device.ToString();
            string others = string.Join(" or ", Enum.GetValues<OptimizerMoments>().Where(other => other != kind));
            throw new InvalidOperationException(
                $"AdamW's moments do not fit into the memory of {place}: "
                + $"{ByteText.Format(parameters.Sum(named => BytesOf(kind, named.Parameter.numel())))} as {kind}. Set OptimizerMoments to "
                + $"{others}, train an adapter in place of all weights, or take a device with more memory.",
                exception);
        }
    }

    /// <summary>
    /// Returns the largest number of weights whose moments are converted to float32 at a time: what fits into the caches of a CPU, or
    /// keeps a GPU busy.
    /// </summary>
    /// <param name="device">The device of the weights.</param>
    public static int PieceLength(Device device) => device.type == DeviceType.CPU ? 1 << 17 : 1 << 20;

    /// <summary>Computes the size of both moments of a parameter in bytes.</summary>
    /// <param name="kind">The precision of the moments.</param>
    /// <param name="weights">The number of weights in the parameter.</param>
    public static long BytesOf(OptimizerMoments kind, long weights) => kind == OptimizerMoments.Int8
        ? 2 * EightBitBlocks.Count(weights) * (EightBitBlocks.Length + sizeof(float))
        : 2 * sizeof(float) * weights;

    /// <summary>Allocates everything that the update of some parameters needs, and changes nothing yet.</summary>
    /// <param name="entries">The parameters, all on one device. At least one. Borrowed until the update is applied.</param>
    /// <param name="step">The number of this update, from 1.</param>
    /// <param name="fuse">Prepares the arithmetic for tensors on one device.</param>
    /// <returns>The updates, which must be applied in this order and in the caller's scope.</returns>
    public abstract IReadOnlyList<IAdamWUpdate> Prepare(
        IReadOnlyList<AdamWEntry> entries, long step, Func<IReadOnlyList<AdamWTensors>, IAdamWUpdate> fuse);

    /// <summary>Returns the moments as a checkpoint contains them. The tensors are borrowed.</summary>
    public abstract IEnumerable<KeyValuePair<string, Tensor>> Tensors();

    /// <summary>Checks that a file contains moments of these parameters, before anything is changed.</summary>
    /// <param name="file">The open checkpoint file.</param>
    /// <exception cref="InvalidDataException">A moment is missing, or has another shape or type.</exception>
    public void Check(SafetensorsReader file)
    {
        foreach ((string name, Parameter parameter) in _parameters)
        {
            foreach (string moment in new[] { FirstMoment, SecondMoment })
            {
                if (!HasCodes(
                    file, moment, name, parameter.numel(), moment == SecondMoment ? EightBitBlocks.Unsigned : EightBitBlocks.Signed))
                {
                    RequireFloats(file, moment + "." + name, parameter.shape);
                }
            }
        }
    }

    /// <summary>Restores the moments from a file.</summary>
    /// <param name="file">The open checkpoint file, which has passed <see cref="Check"/>.</param>
    public void Load(SafetensorsReader file)
    {
        using var scope = TensorScope.BeginNoGrad();
        for (int i = 0; i < _parameters.Length; i++)
        {
            using var one = TensorScope.BeginNoGrad();
            (string name, Parameter parameter) = _parameters[i];
            Load(file, i, isSecond: false, HasCodes(file, FirstMoment, name, parameter.numel(), EightBitBlocks.Signed));
            Load(file, i, isSecond: true, HasCodes(file, SecondMoment, name, parameter.numel(), EightBitBlocks.Unsigned));
        }
    }

    /// <inheritdoc/>
    public abstract void Dispose();

    private protected abstract void Load(SafetensorsReader file, int index, bool isSecond, bool isInCodes);

    // The names that torch.optim uses.
    private const string FirstMoment = "exp_avg";
    private const string SecondMoment = "exp_avg_sq";

    private protected IReadOnlyList<(string Name, Parameter Parameter)> Parameters => _parameters;

    private protected static string FloatName(bool isSecond, string parameter) => $"{(isSecond ? SecondMoment : FirstMoment)}.{parameter}";

    private protected static (string Codes, string Scales) CodeNames(bool isSecond, string parameter) =>
        CodeNames(isSecond ? SecondMoment : FirstMoment, parameter);

    /// <summary>Splits a number of weights into pieces of at most <see cref="PieceLength"/>.</summary>
    private protected static IEnumerable<(long Start, long Length)> Pieces(long weights, Device device)
    {
        int most = PieceLength(device);
        for (long start = 0; start < weights; start += most)
        {
            yield return (start, Math.Min(most, weights - start));
        }
    }

    private static (string Codes, string Scales) CodeNames(string moment, string parameter) =>
        ($"{moment}_codes.{parameter}", $"{moment}_scales.{parameter}");

    private static bool HasCodes(SafetensorsReader file, string moment, string parameter, long weights, EightBitBlocks blocks)
    {
        (string codes, string scales) = CodeNames(moment, parameter);
        long count = EightBitBlocks.Count(weights);
        return Has(codes, blocks.CodeType, [count, EightBitBlocks.Length]) && Has(scales, ScalarType.Float32, [count, 1]);

        bool Has(string name, ScalarType type, long[] shape) =>
            file.Entries.TryGetValue(name, out SafetensorsEntry? entry) && entry.DType == type && entry.Shape.SequenceEqual(shape);
    }

    private static void RequireFloats(SafetensorsReader file, string moment, long[] shape)
    {
        if (!file.Entries.TryGetValue(moment, out SafetensorsEntry? entry) || !entry.Shape.SequenceEqual(shape))
        {
            throw new InvalidDataException(
                $"'{file.Path}' holds no '{moment}' of shape [{string.Join(", ", shape)}]: it belongs to another model or "
                + "another choice of trained parameters.");
        }

        if (!SafetensorsDType.IsFloat(entry.DType))
        {
            throw new InvalidDataException(
                $"'{file.Path}': '{moment}' is {entry.DType} but must be of a floating-point type. The file is damaged.");
        }
    }
}

/// <summary>A parameter that an optimizer step changes.</summary>
/// <param name="Index">The index of the parameter among the trained parameters.</param>
/// <param name="Weight">The weights, contiguous float32.</param>
/// <param name="Gradient">The gradient, contiguous float32; scaled in place.</param>
internal readonly record struct AdamWEntry(int Index, Tensor Weight, Tensor Gradient);

/// <summary>The tensors that the update of one parameter reads and writes. All four have one shape.</summary>
/// <param name="Weight">The weights; written.</param>
/// <param name="Gradient">The gradient; scaled in place.</param>
/// <param name="FirstMoment">The first moment; written.</param>
/// <param name="SecondMoment">The second moment; written.</param>
internal readonly record struct AdamWTensors(Tensor Weight, Tensor Gradient, Tensor FirstMoment, Tensor SecondMoment);

/// <summary>A prepared part of an optimizer step, whose memory is already allocated.</summary>
internal interface IAdamWUpdate
{
    /// <summary>Changes weights and moments. Call it once, in the scope in which the update was prepared.</summary>
    void Apply();
}

/// <summary>The update of one piece whose moments are stored on another device or in another precision.</summary>
/// <param name="load">Copies the moments to the tensors of the update.</param>
/// <param name="update">The arithmetic.</param>
/// <param name="store">Copies the moments back.</param>
internal sealed class StagedUpdate(Action load, IAdamWUpdate update, Action store) : IAdamWUpdate
{
    /// <inheritdoc/>
    public void Apply()
    {
        using var scope = TensorScope.BeginNoGrad();
        load();
        update.Apply();
        store();
    }
}

/// <summary>The float32 buffers for the moments of one piece, allocated before the first weight changes.</summary>
/// <param name="First">The buffer of the first moment, [blocks, 256].</param>
/// <param name="Second">The buffer of the second moment, [blocks, 256].</param>
/// <param name="Scratch">The scratch buffer, [blocks, 256].</param>
internal readonly record struct MomentStaging(Tensor First, Tensor Second, Tensor Scratch)
{
    /// <summary>Allocates buffers of zeros for the pieces of all parameters. They are owned by the caller's scope.</summary>
    /// <param name="longest">The number of weights in the largest parameter.</param>
    /// <param name="device">The device of the buffers.</param>
    public static MomentStaging Allocate(long longest, Device device)
    {
        long blocks = EightBitBlocks.Count(Math.Min(longest, AdamWMoments.PieceLength(device)));
        return new MomentStaging(Buffer(), Buffer(), Buffer());

        Tensor Buffer() => zeros([blocks, EightBitBlocks.Length], ScalarType.Float32, device);
    }

    /// <summary>Returns views of the buffers for fewer numbers, in the caller's scope.</summary>
    /// <param name="length">The number of weights in the piece.</param>
    public MomentStaging Slice(long length)
    {
        long blocks = EightBitBlocks.Count(length);
        return new MomentStaging(First.narrow(0, 0, blocks), Second.narrow(0, 0, blocks), Scratch.narrow(0, 0, blocks));
    }
}
