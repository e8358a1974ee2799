using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

/// <summary>
/// Losses, output layer and optimizer on the meta device, which has no numbers and refuses elementwise operations of mixed devices. So a
/// tensor that is created on the CPU by mistake is found without a GPU.
/// </summary>
public sealed class MetaDeviceTests
{
    private const int Rows = 3;
    private const int Columns = 5;

    private static readonly LossDenominators Denominators = new(Rows, 12, 16);

    // Without those that choose by torch.where, which has no kernel on this device. The gradient of a clip uses it too.
    public static TheoryData<PolicyObjective, bool> Objectives => new()
    {
        { new ClippedObjective(), false },
        { new GspoObjective(), false },
        { new GspoTokenObjective(), false },
        { new ReinforceObjective(), true },
        { new CispoObjective(), true },
        { new CispoBandObjective(), true },
    };

    [Theory]
    [MemberData(nameof(Objectives))]
    public void Loss_stays_on_the_device_under_every_reduction_and_KL_estimator(PolicyObjective objective, bool hasGradient)
    {
        using var scope = TensorScope.Begin();
        foreach (LossReduction reduction in Enum.GetValues<LossReduction>())
        {
            foreach (KlEstimator estimator in Enum.GetValues<KlEstimator>().Where(estimator => estimator != KlEstimator.K1InReward))
            {
                LossInputs inputs = Inputs();
                LossResult result = GrpoLoss.Compute(inputs, Settings(objective, reduction, estimator), Denominators);
                Assert.Equal(DeviceType.META, result.Loss.device_type);
                Assert.Equal(DeviceType.META, result.KlSum.device_type);
                if (hasGradient)
                {
                    result.Loss.backward();
                    Assert.Equal([Rows, Columns], inputs.LogProbs.grad!.shape);
                }
            }
        }
    }

    [Theory]
    [InlineData("OldLogProbs")]
    [InlineData("ReferenceLogProbs")]
    [InlineData("Advantages")]
    [InlineData("Mask")]
    [InlineData("Entropies")]
    public void Loss_with_one_input_on_the_CPU_fails(string planted)
    {
        using var scope = TensorScope.Begin();
        LossInputs inputs = Inputs();
        Tensor Planted(Tensor tensor) => zeros(tensor.shape, ScalarType.Float32, CPU);
        LossInputs mixed = planted switch
        {
            "OldLogProbs" => inputs with { OldLogProbs = Planted(inputs.OldLogProbs!) },
            "ReferenceLogProbs" => inputs with { ReferenceLogProbs = Planted(inputs.ReferenceLogProbs!) },
            "Advantages" => inputs with { Advantages = Planted(inputs.Advantages) },
            "Mask" => inputs with { Mask = Planted(inputs.Mask) },
            _ => inputs with { Entropies = Planted(inputs.Entropies!) },
        };
        LossSettings settings = Settings(new ClippedObjective(), LossReduction.TokenMean, KlEstimator.K3);
        Assert.ThrowsAny<Exception>(() => GrpoLoss.Compute(mixed, settings, Denominators));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Output_layer_stays_on_the_device_in_both_passes(bool withEntropies)
    {
        using var scope = TensorScope.Begin();
        Tensor hidden = zeros([6, 8], ScalarType.Float32, META).requires_grad_(true);
        Tensor weight = zeros([20, 8], ScalarType.Float32, META).requires_grad_(true);
        Tensor targets = zeros([6], ScalarType.Int64, META);
        Tensor logProbs = withEntropies
            ? TokenLogProbs.ComputeWithEntropies(hidden, weight, targets, 0.7, chunkRows: 2).Entropies
            : TokenLogProbs.Compute(hidden, weight, targets, 0.7, chunkRows: 2);
        BackwardPass.Run(logProbs.sum());
        Assert.Equal(DeviceType.META, hidden.grad!.device_type);
        Assert.Equal([20, 8], weight.grad!.shape);
    }

    // Without its backward pass, which compares two gradients by abs: no kernel.
    [Fact]
    public void Fused_output_layer_gives_gradients_on_the_device()
    {
        using var scope = TensorScope.Begin();
        Tensor hidden = zeros([6, 8], ScalarType.Float32, META).requires_grad_(true);
        Tensor weight = zeros([20, 8], ScalarType.Float32, META).requires_grad_(true);
        Tensor targets = zeros([6], ScalarType.Int64, META);
        Tensor logProbs = TokenLogProbs.Compute(hidden, weight, targets, 1, own => own.mul(2), heldLogits: 60);
        Assert.Equal(DeviceType.META, logProbs.device_type);
        Assert.Equal(DeviceType.META, weight.grad!.device_type);
        Assert.ThrowsAny<Exception>(() => TokenLogProbs.Compute(
            hidden, weight, targets, 1, own => zeros(own.shape, ScalarType.Float32, CPU) * own, heldLogits: 60));
    }

    [Fact]
    public void Moments_in_8_bits_stay_on_the_device_and_refuse_thresholds_of_the_CPU()
    {
        using var scope = TensorScope.BeginNoGrad();
        EightBitBlocks blocks = EightBitBlocks.Unsigned; // signed moments use abs: no kernel
        EightBitTensor stored = blocks.Zeros(512, META);
        Tensor values = zeros([2, EightBitBlocks.Length], ScalarType.Float32, META), scratch = zeros_like(values);
        blocks.Encode(values, stored, EightBitBlocks.Thresholds(3, 0.5, META), scratch);
        blocks.Decode(stored, values, scratch);
        Assert.ThrowsAny<Exception>(() => blocks.Encode(values, stored, EightBitBlocks.Thresholds(3, 0.5, CPU), scratch));
    }

    [Fact]
    public void Masks_and_corrections_stay_on_the_device()
    {
        using var scope = TensorScope.BeginNoGrad();
        LossInputs inputs = Inputs();
        var objective = new ObjectiveInputs(inputs.LogProbs, inputs.OldLogProbs!, inputs.Advantages, inputs.Mask);
        Tensor[] results =
        [
            OffPolicySequenceMask.Factors(objective, 0.1),
            TopEntropyMask.Factors(inputs.Entropies!, inputs.Mask, 0.5),
            EntropyBonus.Loss(inputs.Entropies!, inputs.Mask, 0.01, 12),
            new ClippedObjective().ClipCounts(objective)!,
        ];
        Assert.All(results, result => Assert.Equal(DeviceType.META, result.device_type));
    }

    [Fact]
    public void Products_of_two_devices_are_refused()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor input = zeros([2, 4], ScalarType.Float32, META), weight = zeros([3, 4], ScalarType.Float32, CPU);
        string message = Assert.Throws<ArgumentException>(() => FastLinear.Apply(input, weight)).Message;
        Assert.StartsWith("weight is on cpu but must be on meta. Copy it there with DeviceTransfer.", message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => FastLinear.InputGradient(input, weight.t().contiguous(), [2, 3]));
    }

    [Fact]
    public void Optimizer_refuses_a_gradient_of_another_device()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = zeros([4], ScalarType.Float32, META), gradient = zeros([4], ScalarType.Float32, CPU);
        Assert.Throws<ArgumentException>(() => FusedAdamW.Prepare(
            [new AdamWTensors(weight, gradient, zeros_like(weight), zeros_like(weight))], 1, 0.1, 0, 1, new AdamWOptions()));
    }

    private static LossSettings Settings(PolicyObjective objective, LossReduction reduction, KlEstimator estimator) => new()
    {
        Objective = objective,
        Reduction = reduction,
        KlCoefficient = 0.1,
        KlEstimator = estimator,
        EntropyCoefficient = 0.01,
        EntropyThreshold = 0.3,
        OffPolicyThreshold = 0.2,
    };

    private static LossInputs Inputs()
    {
        Tensor PerToken() => zeros([Rows, Columns], ScalarType.Float32, META);
        return new LossInputs(
            PerToken().requires_grad_(true), PerToken(), PerToken(), zeros([Rows], ScalarType.Float32, META), PerToken())
        {
            Entropies = PerToken(),
        };
    }
}
