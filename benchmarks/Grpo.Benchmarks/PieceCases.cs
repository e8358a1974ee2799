using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Optimization;
using Grpo.Rollouts;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;
using AdamW = Grpo.Optimization.AdamW;

namespace Grpo.Benchmarks;

/// <summary>
/// The cases of single pieces of a step, compared with TorchSharp's own: log-probs over a large vocabulary, AdamW and token sampling.
/// </summary>
internal static class PieceCases
{
    private const int Vocabulary = 151_936;
    private const int Hidden = 896;

    /// <summary>Returns the log-probs of targets with their gradients: in tiles, and over all logits at once.</summary>
    public static IReadOnlyList<Case> LogProbs(int tokens)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = scope.Release(rand(tokens, Hidden)), weight = scope.Release(rand(Vocabulary, Hidden).mul_(0.02)),
            targets = scope.Release(randint(0, Vocabulary, [tokens]));
        hidden.requires_grad_(true);
        weight.requires_grad_(true);
        (hidden.grad, weight.grad) = (zeros_like(hidden), zeros_like(weight)); // as in all micro-batches except the first
        string name = $"log-probs and gradients, {tokens} tokens";
        return
        [
            new(
                $"{name}, all logits", tokens,
                () => Backward((h, w) => nn.functional.linear(h, w).log_softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1))),
            new($"{name}, in tiles", tokens, () => Backward((h, w) => TokenLogProbs.Compute(h, w, targets, temperature: 1)))
            {
                Baseline = $"{name}, all logits",
            },
        ];

        void Backward(Func<Tensor, Tensor, Tensor> logProbs)
        {
            using var pass = TensorScope.Begin();
            logProbs(hidden, weight).sum().backward();
            hidden.grad!.zero_();
            weight.grad!.zero_();
        }
    }

    /// <summary>Returns an AdamW step over parameters of the 0.5B shape, by the library and by TorchSharp.</summary>
    public static IReadOnlyList<Case> AdamWStep(List<IDisposable> owners)
    {
        // A quarter of the layers and the whole embedding have parameters of all sizes. The sizes affect torch.optim's temporaries.
        var model = CausalLM.Initialize(Shape.All.First(shape => shape.Name == "0.5b").Config with { LayerCount = 6 }, seed: 1);
        owners.Add(model);
        (string Name, Parameter Parameter)[] parameters = [.. model.named_parameters().Select(entry => (entry.name, entry.parameter))];
        foreach ((_, Parameter parameter) in parameters)
        {
            using var scope = TensorScope.BeginNoGrad();
            parameter.grad = scope.Release(rand_like(parameter));
        }

        var ours = new AdamW(parameters, new AdamWOptions());
        optim.Optimizer theirs = optim.AdamW(parameters.Select(entry => entry.Parameter), lr: 1e-6);
        owners.Add(ours);
        owners.Add(theirs);
        double weights = parameters.Sum(entry => (double)entry.Parameter.numel());
        return
        [
            new("AdamW, torch.optim", 0, () => { using var scope = TensorScope.BeginNoGrad(); theirs.step(); }),
            // The weight, the gradient and two moments are read, and all except the gradient are written.
            new("AdamW", 0, () => ours.Apply(1e-6, 1)) { Baseline = "AdamW, torch.optim", Bytes = 7 * sizeof(float) * weights },
        ];
    }

    /// <summary>
    /// Returns the sampling of a token per row: by softmax and multinomial, and by inverting the cumulative distribution.
    /// </summary>
    public static IReadOnlyList<Case> Sample(int rows)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor logits = scope.Release(randn(rows, Vocabulary));
        RolloutRow[] sampled = [.. Enumerable.Range(0, rows).Select(row => new RolloutRow([0], new CompletionBuilder((ulong)row)))];
        var plain = new SamplingOptions();
        var topP = new SamplingOptions { TopP = 0.9 };
        return
        [
            new($"sample {rows} tokens, softmax and multinomial", rows, () => Multinomial(logits)),
            new($"sample {rows} tokens", rows, () => TokenSampler.Sample(logits, sampled, plain))
            {
                Baseline = $"sample {rows} tokens, softmax and multinomial",
            },
            new($"sample {rows} tokens, top-p by a full sort", rows, () => TopPBySort(logits)),
            new($"sample {rows} tokens, top-p", rows, () => TokenSampler.Sample(logits, sampled, topP))
            {
                Baseline = $"sample {rows} tokens, top-p by a full sort",
            },
        ];
    }

    private static void Multinomial(Tensor logits)
    {
        using var scope = TensorScope.BeginNoGrad();
        logits.softmax(1).multinomial(1).cpu();
    }

    private static void TopPBySort(Tensor logits)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor sorted, Tensor order) = logits.softmax(1).sort(1, descending: true);
        Tensor kept = sorted.masked_fill_((sorted.cumsum(1) - sorted).gt(0.9), 0);
        order.gather(1, kept.multinomial(1)).cpu();
    }
}
