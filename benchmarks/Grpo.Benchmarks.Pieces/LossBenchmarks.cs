using BenchmarkDotNet.Attributes;
using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Benchmarks.Pieces;

/// <summary>
/// Times each loss and its gradient with respect to the log-probs, for a micro-batch of 32 completions of up to 256 tokens. The baseline is
/// the minimum that each of them needs: a weighted mean of the log-probs, forward and backward.
/// </summary>
[MemoryDiagnoser]
public class LossBenchmarks
{
    private const int Rows = 32;
    private const int Columns = 256;

    private static readonly Dictionary<string, LossSettings> Settings = new()
    {
        ["clipped"] = new() { Objective = new ClippedObjective() },
        ["clipped, k3"] = new() { Objective = new ClippedObjective(), KlCoefficient = 0.04 },
        ["clipped, dual"] = new() { Objective = new ClippedObjective { High = 0.28, DualClip = 3 } },
        ["cispo"] = new() { Objective = new CispoObjective() },
        ["gspo"] = new() { Objective = new GspoObjective(), Reduction = LossReduction.SequenceMean },
        ["gmpo"] = new() { Objective = new GmpoObjective(), Reduction = LossReduction.SequenceMean },
        ["sapo"] = new() { Objective = new SapoObjective() },
        ["reinforce"] = new() { Objective = new ReinforceObjective() },
    };

    private readonly LossDenominators _denominators = new(Rows, Rows * Columns, Columns);
    private Tensor _logProbs = null!;                  // [B, C], with gradient
    private LossInputs _inputs = null!;

    /// <summary>The names of the losses.</summary>
    public static IEnumerable<string> Losses => Settings.Keys;

    /// <summary>The name of the loss.</summary>
    [ParamsSource(nameof(Losses))]
    public string Loss { get; set; } = "";

    /// <summary>Creates log-probs of the old and the new policy that differ by about 0.1 nats, and lengths from 1 to 256.</summary>
    [GlobalSetup]
    public void Setup()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(1);
        Tensor old = scope.Release(randn([Rows, Columns], generator: generator).abs_().neg_());
        Tensor reference = scope.Release(old + (randn([Rows, Columns], generator: generator) * 0.1));
        Tensor lengths = linspace(1, Columns, Rows).round().unsqueeze(1);                        // [B, 1]
        Tensor mask = scope.Release(arange(Columns).unsqueeze(0).lt(lengths).to(ScalarType.Float32));
        Tensor advantages = scope.Release(randn([Rows], generator: generator));
        _logProbs = scope.Release(old + (randn([Rows, Columns], generator: generator) * 0.1)).requires_grad_(true);
        _inputs = new LossInputs(_logProbs, old, reference, advantages, mask);
    }

    /// <summary>Frees the tensors.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (Tensor? tensor in new[] { _logProbs, _inputs.OldLogProbs, _inputs.ReferenceLogProbs, _inputs.Advantages, _inputs.Mask })
        {
            tensor?.Dispose();
        }
    }

    /// <summary>Computes Σ m·A·log π / N and its gradient.</summary>
    [Benchmark(Baseline = true)]
    public void WeightedLogProbs()
    {
        using var scope = TensorScope.Begin();
        (_logProbs * _inputs.Mask * _inputs.Advantages.unsqueeze(1)).sum().div(_denominators.Tokens).backward();
        _logProbs.grad = null;
    }

    /// <summary>Computes the loss and its gradient.</summary>
    [Benchmark]
    public void GrpoLoss()
    {
        using var scope = TensorScope.Begin();
        Grpo.Losses.GrpoLoss.Compute(_inputs, Settings[Loss], _denominators).Loss.backward();
        _logProbs.grad = null;
    }
}
