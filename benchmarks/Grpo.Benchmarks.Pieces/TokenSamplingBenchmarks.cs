using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using Grpo.Rollouts;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Benchmarks.Pieces;

/// <summary>
/// Times the sampling of a token for each of 8 rows of logits of Qwen2's vocabulary, by each method. The
/// baselines use TorchSharp's operators.
/// </summary>
[MemoryDiagnoser]
[GroupBenchmarksBy(BenchmarkLogicalGroupRule.ByCategory)]
[CategoriesColumn]
public class TokenSamplingBenchmarks
{
    private const int Rows = 8;
    private const int Vocabulary = 151_936;
    private const int K = 50;
    private const double P = 0.9;

    private static readonly SamplingOptions Plain = new();
    private static readonly SamplingOptions Greedily = Plain.ToGreedy();
    private static readonly SamplingOptions WithTopK = new() { TopK = K };
    private static readonly SamplingOptions WithTopP = new() { TopP = P };

    private readonly RolloutRow[] _rows =
        [.. Enumerable.Range(0, Rows).Select(row => new RolloutRow([0], new CompletionBuilder((ulong)row)))];
    private Tensor _logits = null!;                    // [B, V]

    /// <summary>Creates logits with the spread of a language model's: the most probable token has a few tenths.</summary>
    [GlobalSetup]
    public void Setup()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(1);
        _logits = scope.Release(randn([Rows, Vocabulary], generator: generator).mul_(2.5f));
    }

    /// <summary>Frees the logits.</summary>
    [GlobalCleanup]
    public void Cleanup() => _logits.Dispose();

    /// <summary>Takes the argmax and its log-probs.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("greedy")]
    public void Argmax()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor ids = _logits.argmax(1, keepdim: true);
        _logits.log_softmax(1).gather(1, ids).cpu();
    }

    /// <summary>Samples greedily with the library, including entropies.</summary>
    [Benchmark]
    [BenchmarkCategory("greedy")]
    public object Greedy() => TokenSampler.Sample(_logits, _rows, Greedily);

    /// <summary>Samples by softmax and multinomial, including log-probs.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("sample")]
    public void Multinomial()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor probabilities = _logits.softmax(1);
        probabilities.gather(1, probabilities.multinomial(1)).log().cpu();
    }

    /// <summary>Samples with the library, including log-probs and entropies.</summary>
    [Benchmark]
    [BenchmarkCategory("sample")]
    public object Sample() => TokenSampler.Sample(_logits, _rows, Plain);

    /// <summary>Samples by topk and multinomial.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("top-k")]
    public void TorchTopK()
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor largest, Tensor ids) = _logits.topk(K, 1);
        ids.gather(1, largest.softmax(1).multinomial(1)).cpu();
    }

    /// <summary>Samples with top-k by the library, including log-probs and entropies.</summary>
    [Benchmark]
    [BenchmarkCategory("top-k")]
    public object TopK() => TokenSampler.Sample(_logits, _rows, WithTopK);

    /// <summary>Samples by a full sort and multinomial.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("top-p")]
    public void FullSort()
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor sorted, Tensor order) = _logits.softmax(1).sort(1, descending: true);
        Tensor kept = sorted.masked_fill_((sorted.cumsum(1) - sorted).gt(P), 0);
        order.gather(1, kept.multinomial(1)).cpu();
    }

    /// <summary>Samples with top-p by the library, including log-probs and entropies.</summary>
    [Benchmark]
    [BenchmarkCategory("top-p")]
    public object TopP() => TokenSampler.Sample(_logits, _rows, WithTopP);
}
