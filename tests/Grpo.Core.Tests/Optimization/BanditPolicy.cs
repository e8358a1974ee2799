using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

/// <summary>
/// A bandit with two arms as a language model: one token, 1 (good) or 0 (bad), and one weight θ, the logit of the good
/// arm. π(good) = σ(θ/τ).
/// </summary>
internal sealed class BanditPolicy : IEntropyPolicy, IReferenceModel, IDisposable
{
    private readonly Arm _arm;

    /// <param name="good">π(good) at temperature 1.</param>
    public BanditPolicy(double good) => _arm = new Arm((float)Math.Log(good / (1 - good)));

    public nn.Module Module => _arm;

    /// <summary>π(good) at temperature 1.</summary>
    public double Good
    {
        get
        {
            using var scope = TensorScope.BeginNoGrad();
            return 1 / (1 + Math.Exp(-_arm.Logit.item<float>()));
        }
    }

    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(LogProbsAndEntropies(batch, temperature).LogProbs);
    }

    public TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature)
    {
        using var scope = TensorScope.Begin();
        Tensor sign = (batch.CompletionIds * 2) - 1;                                               // [B, 1], +1 or −1
        Tensor logProbs = nn.functional.logsigmoid(sign * _arm.Logit / temperature);               // [B, 1]
        Tensor good = (_arm.Logit / temperature).sigmoid();
        Tensor entropy = -((good * good.log()) + ((1 - good) * (1 - good).log()));                 // [1]
        return new TokenStatistics(scope.Keep(logProbs), scope.Keep(entropy.expand(logProbs.shape)));
    }

    public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
        throw new NotSupportedException("BanditSampler draws.");

    public void Save(string directory) => throw new NotSupportedException();

    public void Load(string directory) => throw new NotSupportedException();

    public void Dispose() => _arm.Dispose();

    private sealed class Arm : nn.Module
    {
        [ComponentName(Name = "logit")]
        private readonly Parameter _logit;

        public Arm(float logit)
            : base(nameof(Arm))
        {
            using var scope = TensorScope.Begin();
            _logit = new Parameter(tensor(new[] { logit }));
            scope.Release(_logit);
            RegisterComponents();
        }

        public Parameter Logit => _logit;
    }
}

/// <summary>Pulls arms with random numbers of (seed, step, prompt, sample).</summary>
internal sealed class BanditSampler : IGroupSampler
{
    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        double good = ((BanditPolicy)policy).Good;
        return ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select((prompt, n) => new RolloutGroup(
            prompt, [0], [.. Enumerable.Range(0, request.GroupSize).Select(sample => Pull(good, request, n, sample))]))]);
    }

    private static Completion Pull(double good, RolloutRequest request, int prompt, int sample)
    {
        bool isGood = CounterRandom.Uniform(request.Seed, (((request.Step * 100) + prompt) * 10_000) + sample) < good;
        return new Completion([isGood ? 1 : 0], isGood ? "good" : "bad", FinishReason.EndToken)
        {
            LogProbs = [(float)Math.Log(isGood ? good : 1 - good)],
        };
    }
}
