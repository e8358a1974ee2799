using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>What decides which kernels run a model, and the choice in words.</summary>
/// <param name="Config">The configuration of the model.</param>
/// <param name="Device">The device.</param>
/// <param name="WeightType">The type of the weights.</param>
/// <param name="ComputeType">The type of matrix products and activations.</param>
internal sealed record ModelKernels(DecoderConfig Config, Device Device, ScalarType WeightType, ScalarType ComputeType)
{
    /// <summary>True if there is an adapter that is not merged.</summary>
    public bool HasAdapter { get; init; }

    /// <summary>True if the projections of the base are in 4 bits.</summary>
    public bool FourBitBase { get; init; }

    /// <summary>True if the model decodes in 8 bits.</summary>
    public bool Int8Rollouts { get; init; }

    /// <summary>False if the processor has no instructions for products in bfloat16.</summary>
    public bool HasBFloat16Products { get; init; } = CpuFeatures.HasBFloat16Products;

    /// <summary>
    /// True if the device is a processor without the instructions for products in the type. libtorch then converts every number.
    /// </summary>
    public bool IsSlow => Device.type == DeviceType.CPU && ComputeType == ScalarType.BFloat16 && !HasBFloat16Products;

    /// <summary>The reason why only libtorch's operations can decode the model, as a clause; null if the kernels can.</summary>
    public string? Obstacle
    {
        get
        {
            string? obstacle = Device.type != DeviceType.CPU ? $"the model is on {Device}"
                : !SkinnyKernel.IsSupported ? "the processor has no vectors"
                : FourBitBase ? "the base is in 4 bits"
                : HasAdapter ? "the adapter is not merged"
                : WeightType != ScalarType.Float32 ? $"the weights are in {Name(WeightType)}"
                : null;
            return obstacle ?? Sizes.Where(size => size.Value % size.Divisor != 0)
                .Select(size => $"{size.Name} is {size.Value} wide, which is not a multiple of {size.Divisor}").FirstOrDefault();
        }
    }

    // The attention takes two vectors of a head at a time.
    private IEnumerable<(string Name, int Value, int Divisor)> Sizes =>
    [
        ("a head", Config.HeadWidth, 2 * SkinnyKernel.Lanes),
        ("the hidden state", Config.HiddenSize, SkinnyKernel.Lanes),
        ("the feed-forward block", Config.IntermediateSize, SkinnyKernel.Lanes),
        ("the vocabulary", Config.VocabularySize, SkinnyKernel.Tile),
    ];

    /// <summary>Collects what decides about the kernels of a model.</summary>
    internal static ModelKernels Of(CausalLM model) => new(model.Config, model.Device, model.WeightType, model.ComputeType)
    {
        HasAdapter = model.Adapter is { IsMerged: false },
        FourBitBase = model.HasFourBitBase,
    };

    /// <summary>Returns the choice, such as "decoding in float32 with vectors of 256 bits; other passes by libtorch in float32".</summary>
    public override string ToString()
    {
        string decoding = Obstacle is { } obstacle ? $"by libtorch's operations, because {obstacle}"
            : $"in {(Int8Rollouts ? "8 bits" : "float32")} with vectors of {CpuFeatures.VectorBits} bits";
        string slowness = IsSlow ? ", 8 to 9 times slower than float32, because the processor has no instructions for it" : string.Empty;
        return $"decoding {decoding}; other passes by libtorch in {Name(ComputeType)}{slowness}";
    }

    private static string Name(ScalarType type) => type.ToString().ToLowerInvariant();
}
