using Grpo.IO;
using Grpo.Planning;
using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// The first and second moments of all trained parameters, in one of the ways of <see cref="OptimizerMoments"/>. Owns them.
/// </summary>
/// <remarks>
/// A checkpoint has them as they are kept, so that a run resumes exactly. Float32 and 8 bits are read from each other's checkpoints too,
/// converted one parameter at a time.
/// </remarks>
internal abstract class AdamWMoments : IDisposable
{
    private readonly (string Name, Parameter Parameter)[] _parameters;

    private protected AdamWMoments(IReadOnlyList<(string Name, Parameter Parameter)> parameters) => _parameters = [.. parameters];

    /// <summary>Moments that are zero.</summary>
    /// <param name="kind">Where and in how many bits.</param>
    /// <param name="parameters">What is trained.</param>
    /// <exception cref="InvalidOperationException">They do not fit into memory.</exception>
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

    /// <summary>The most weights whose moments are brought together in float32 where they are kept otherwise.</summary>
    /// <param name="device">What fits into its caches, on a GPU what keeps it busy.</param>
    public static int PieceLength(Device device) => device.type == DeviceType.CPU ? 1 << 17 : 1 << 20;

    /// <summary>Bytes of both moments of a parameter.</summary>
    /// <param name="kind">How they are kept.</param>
    /// <param name="weights">Numbers of the parameter.</param>
    public static long BytesOf(OptimizerMoments kind, long weights) => kind == OptimizerMoments.Int8
        ? 2 * EightBitBlocks.Count(weights) * (EightBitBlocks.Length + sizeof(float))
        : 2 * sizeof(float) * weights;

    /// <summary>Makes everything that the update of some parameters needs; nothing changes yet.</summary>
    /// <param name="entries">Parameters on one device; at least one. Borrowed until the update is applied.</param>
    /// <param name="step">Of this update, from 1.</param>
    /// <param name="fuse">Prepares the arithmetic for tensors on one device.</param>
    /// <returns>To be applied in this order, in the caller's scope.</returns>
    public abstract IReadOnlyList<IAdamWUpdate> Prepare(
        IReadOnlyList<AdamWEntry> entries, long step, Func<IReadOnlyList<AdamWTensors>, IAdamWUpdate> fuse);

    /// <summary>The moments as a checkpoint holds them. The tensors are borrowed.</summary>
    public abstract IEnumerable<KeyValuePair<string, Tensor>> Tensors();

    /// <summary>Checks that a file holds moments of these parameters, before anything is changed.</summary>
    /// <param name="file">An open checkpoint.</param>
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

    /// <summary>Restores the moments.</summary>
    /// <param name="file">After <see cref="Check"/>.</param>
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

    // torch.optim's own names of the two.
    private const string FirstMoment = "exp_avg";
    private const string SecondMoment = "exp_avg_sq";

    private protected IReadOnlyList<(string Name, Parameter Parameter)> Parameters => _parameters;

    private protected static string FloatName(bool isSecond, string parameter) => $"{(isSecond ? SecondMoment : FirstMoment)}.{parameter}";

    private protected static (string Codes, string Scales) CodeNames(bool isSecond, string parameter) =>
        CodeNames(isSecond ? SecondMoment : FirstMoment, parameter);

    /// <summary>Cuts a number of weights into pieces.</summary>
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
