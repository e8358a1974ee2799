using System.Diagnostics;
using Grpo.Samples.FromScratch;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

// GRPO (Group Relative Policy Optimization) in one file, on TorchSharp alone. A tiny transformer starts from random weights and learns to
// sort four digits. It never sees a sorted list; it only learns how good its own answers were. Read from top to bottom. The papers:
//   [GRPO]  DeepSeekMath, arXiv:2402.03300, section 4.1: the group as its own baseline.
//   [PPO]   Proximal Policy Optimization Algorithms, arXiv:1707.06347: the clipped ratio.
//   [K3]    Schulman, "Approximating KL divergence", 2020: the KL estimate.
//   [AdamW] Decoupled Weight Decay Regularization, arXiv:1711.05101.
const int Steps = 400;            // optimizer rounds
const int Prompts = 32;           // N: prompts per step
const int Group = 8;              // G: completions per prompt, compared with each other
const int Epochs = 2;             // optimizer steps on the same completions
const double ClipRange = 0.2;     // ε of the clipped ratio
const double KlCoefficient = 0;   // β of the KL term. Above 0, a frozen copy of the first weights holds the policy back.
const double LearningRate = 1e-3;
const double MaxGradientNorm = 1;

// ── 1. The policy, its optimizer and, if the loss has a KL term, the reference model ─────────────────────────────────────────────────────
long seed = args.Length > 0 ? long.Parse(args[0], System.Globalization.CultureInfo.InvariantCulture) : 1;
manual_seed(seed);
using var policy = new TinyTransformer();
using var adam = optim.AdamW(policy.parameters(), LearningRate, beta1: 0.9, beta2: 0.99, weight_decay: 0.01);
using TinyTransformer? reference = KlCoefficient > 0 ? new TinyTransformer() : null;
reference?.load_state_dict(policy.state_dict());

long size = policy.parameters().Sum(weights => weights.numel());
Console.WriteLine(FormattableString.Invariant($"{size:N0} weights learn to sort {SortingTask.Digits} digits. A dot is a reward of 0.02."));
var clock = Stopwatch.StartNew();
double rewardSum = 0, solvedSum = 0;
for (int step = 1; step <= Steps; step++)
{
    using DisposeScope scope = NewDisposeScope(); // frees every tensor of this step at its end

    // ── 2. Rollout: G completions for each of N prompts, sampled from the policy as it is now ────────────────────────────────────────────
    Tensor prompts = SortingTask.RandomPrompts(Prompts).repeat_interleave(Group, 0);        // [B, P] int64, B = N·G; a group is adjacent
    Tensor completions = Rollout.Sample(policy, prompts);                                   // [B, C] int64
    Tensor mask = Rollout.Mask(completions);                                                // [B, C] float32: 1 up to the end token

    // ── 3. Reward: a number for each completion. The only place that knows the task ──────────────────────────────────────────────────────
    Tensor rewards = SortingTask.Score(prompts, completions, mask);                         // [B] float32, 0 to 1

    // ── 4. Advantage: how much better a completion is than its group. This replaces the critic of PPO ────────────────────────────────────
    Tensor advantages = Method.Advantages(rewards, Group);                                  // [B] float32

    // ── 5. Update: raise the probability of completions above their group's mean, lower that of the others ───────────────────────────────
    Tensor oldLogProbs, referenceLogProbs;
    using (no_grad())
    {
        oldLogProbs = policy.LogProbs(prompts, completions);                                // [B, C]: the policy that sampled
        referenceLogProbs = reference?.LogProbs(prompts, completions) ?? oldLogProbs;       // [B, C]
    }

    for (int epoch = 0; epoch < Epochs; epoch++)
    {
        adam.zero_grad();
        Tensor logProbs = policy.LogProbs(prompts, completions);                            // [B, C], with gradient
        Tensor loss = Method.Loss(logProbs, oldLogProbs, referenceLogProbs, advantages, mask, ClipRange, KlCoefficient);
        loss.backward();
        nn.utils.clip_grad_norm_(policy.parameters(), MaxGradientNorm);                     // bounds the step of an unusual batch
        adam.step();                                                                        // [AdamW]
    }

    // ── The curve ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    rewardSum += rewards.mean().item<float>();
    solvedSum += rewards.eq(1).to(float32).mean().item<float>();
    if (step % 25 == 0)
    {
        double reward = rewardSum / 25, solved = solvedSum / 25;
        string bar = new('.', (int)(50 * reward));
        Console.WriteLine(FormattableString.Invariant($"step {step,4}   reward {reward:F3}   solved {solved,6:P1}   {bar}"));
        (rewardSum, solvedSum) = (0, 0);
    }
}

Console.WriteLine(FormattableString.Invariant($"{clock.Elapsed.TotalSeconds:F0} s. Greedy answers:"));
using (NewDisposeScope())
{
    Tensor prompts = SortingTask.RandomPrompts(5);
    Tensor answers = Rollout.Sample(policy, prompts, greedy: true);
    for (int i = 0; i < 5; i++)
    {
        Console.WriteLine($"  {SortingTask.Text(prompts[i])} {SortingTask.Text(answers[i])}");
    }
}

namespace Grpo.Samples.FromScratch
{
    /// <summary>The task: "3142=" is to be answered with "1234.". A token is a character.</summary>
    public static class SortingTask
    {
        public const int Digits = 4;             // digits of a prompt
        public const int PromptLength = 5;       // P: the digits and '='
        public const int CompletionLength = 6;   // C: one more than the right answer needs, so that the end has to be learned
        public const int Vocabulary = 12;        // V: the digits 0 to 9, '=' and '.'
        public const int EqualsToken = 10;
        public const int EndToken = 11;

        public static Tensor RandomPrompts(int count) =>
            cat([randint(0, 10, [count, Digits], dtype: int64), full([count, 1], EqualsToken, dtype: int64)], 1); // [N, P]

        /// <summary>Returns the share of the five positions that are right: partial credit, so that an untrained group differs.</summary>
        public static Tensor Score(Tensor prompts, Tensor completions, Tensor mask)
        {
            Tensor sorted = prompts.narrow(1, 0, Digits).sort(1).Values;                    // [B, 4]
            Tensor end = full([prompts.shape[0], 1], EndToken, dtype: int64);               // [B, 1]
            Tensor right = completions.narrow(1, 0, Digits + 1).eq(cat([sorted, end], 1));  // [B, 5] bool
            return (right * mask.narrow(1, 0, Digits + 1)).mean([1]);                       // [B]
        }

        /// <summary>A row of tokens as text, up to its end token.</summary>
        public static string Text(Tensor tokens)
        {
            string text = string.Concat(tokens.data<long>().Select(token => "0123456789=."[(int)token]));
            return text.IndexOf('.', StringComparison.Ordinal) is var end and >= 0 ? text[..(end + 1)] : text;
        }
    }

    /// <summary>Sampling from the policy, token by token.</summary>
    public static class Rollout
    {
        /// <summary>Samples a completion for each prompt. A cache of keys and values would be faster, and longer to read.</summary>
        public static Tensor Sample(TinyTransformer policy, Tensor prompts, bool greedy = false)
        {
            using IDisposable inference = no_grad();
            Tensor sequence = prompts;                                                      // [B, P]
            for (int i = 0; i < SortingTask.CompletionLength; i++)
            {
                Tensor logits = policy.forward(sequence).select(1, -1);                     // [B, V]: what comes next
                Tensor next = greedy ? logits.argmax(1, keepdim: true) : multinomial(logits.softmax(1), 1);
                sequence = cat([sequence, next], 1);                                        // one column longer
            }

            return sequence.narrow(1, SortingTask.PromptLength, SortingTask.CompletionLength); // [B, C]
        }

        /// <summary>Marks the tokens of each answer: 1 up to and including the first end token, 0 after it.</summary>
        public static Tensor Mask(Tensor completions)
        {
            Tensor ends = completions.eq(SortingTask.EndToken).to(int64);                   // [B, C]
            return (ends.cumsum(1) - ends).eq(0).to(float32);                               // no end token before this one
        }
    }

    /// <summary>The two equations that make it GRPO.</summary>
    public static class Method
    {
        /// <summary>A = (r − mean) / (std + 1e-4) in each group of adjacent completions. [GRPO], section 4.1.2.</summary>
        public static Tensor Advantages(Tensor rewards, int group)
        {
            Tensor grouped = rewards.reshape(-1, group);                                    // [N, G]
            Tensor mean = grouped.mean([1], keepdim: true);                                 // [N, 1]: the baseline
            Tensor stdDev = grouped.std(1, keepdim: true);                                  // [N, 1], with G − 1
            return ((grouped - mean) / (stdDev + 1e-4)).reshape(-1);                        // [B]; 0 in a group of equals
        }

        /// <summary>Averages over the tokens of each completion, then over completions. [GRPO], equation 3, negated.</summary>
        public static Tensor Loss(
            Tensor logProbs, Tensor oldLogProbs, Tensor referenceLogProbs, Tensor advantages, Tensor mask,
            double clipRange, double klCoefficient)
        {
            Tensor advantage = advantages.unsqueeze(1);                                     // [B, 1]: one for all tokens of a completion

            // The ratio of new to old probability is 1 in the first epoch. Later it says how far the policy has moved on these tokens.
            // Where it has moved by ε in the direction that the advantage asks for, the clip removes the gradient. [PPO], equation 7.
            Tensor ratio = (logProbs - oldLogProbs).exp();                                  // [B, C]
            Tensor clipped = ratio.clamp(1 - clipRange, 1 + clipRange);                     // [B, C]
            Tensor surrogate = minimum(ratio * advantage, clipped * advantage);             // [B, C]

            // exp(d) − d − 1 with d = log π_ref − log π: never negative, 0 where the models agree, and unbiased. [K3]
            Tensor difference = referenceLogProbs - logProbs;                               // [B, C]
            Tensor kl = difference.expm1() - difference;                                    // [B, C]

            Tensor perToken = (kl * klCoefficient) - surrogate;                             // [B, C]
            Tensor perCompletion = (perToken * mask).sum([1L]) / mask.sum([1L]);            // [B]
            return perCompletion.mean();
        }
    }

    /// <summary>A decoder-only transformer: token and position embeddings, pre-norm blocks, a linear head.</summary>
    public sealed class TinyTransformer : nn.Module<Tensor, Tensor>
    {
        private const int Width = 64;            // H
        private const int Layers = 2;            // L

        private const int Length = SortingTask.PromptLength + SortingTask.CompletionLength; // T

        private readonly Embedding _tokens = nn.Embedding(SortingTask.Vocabulary, Width);
        private readonly Embedding _positions = nn.Embedding(Length, Width);
        private readonly ModuleList<Block> _blocks = new([.. Enumerable.Range(0, Layers).Select(_ => new Block(Width))]);
        private readonly LayerNorm _norm = nn.LayerNorm(Width);
        private readonly Linear _head = nn.Linear(Width, SortingTask.Vocabulary);

        public TinyTransformer()
            : base(nameof(TinyTransformer)) => RegisterComponents();

        /// <summary>The logits of the token that follows each position: [B, T] int64 to [B, T, V] float32.</summary>
        public override Tensor forward(Tensor sequence)
        {
            Tensor positions = arange(sequence.shape[1], dtype: int64);                     // [T]
            Tensor x = _tokens.forward(sequence) + _positions.forward(positions);           // [B, T, H]
            foreach (Block block in _blocks)
            {
                x = block.forward(x);
            }

            return _head.forward(_norm.forward(x));
        }

        /// <summary>The log-probability, in nats, that the policy gives to each token of the completions: [B, C].</summary>
        public Tensor LogProbs(Tensor prompts, Tensor completions)
        {
            Tensor logits = forward(cat([prompts, completions], 1));                        // [B, T, V]
            Tensor before = logits.narrow(1, prompts.shape[1] - 1, completions.shape[1]);   // position t predicts token t + 1
            return before.log_softmax(-1).gather(2, completions.unsqueeze(2)).squeeze(2);   // [B, C]
        }
    }

    /// <summary>One layer: causal self-attention, then a multilayer perceptron, each added to its input.</summary>
    public sealed class Block : nn.Module<Tensor, Tensor>
    {
        private const int Heads = 4;

        private readonly LayerNorm _attentionNorm, _mlpNorm;
        private readonly Linear _queryKeyValue, _out, _up, _down;

        public Block(int width)
            : base(nameof(Block))
        {
            (_attentionNorm, _mlpNorm) = (nn.LayerNorm(width), nn.LayerNorm(width));
            (_queryKeyValue, _out) = (nn.Linear(width, 3 * width), nn.Linear(width, width));
            (_up, _down) = (nn.Linear(width, 4 * width), nn.Linear(4 * width, width));
            RegisterComponents();
        }

        public override Tensor forward(Tensor x)
        {
            Tensor attended = x + Attend(_attentionNorm.forward(x));                        // [B, T, H]
            return attended + _down.forward(nn.functional.gelu(_up.forward(_mlpNorm.forward(attended))));
        }

        private Tensor Attend(Tensor x)
        {
            (long batch, long length, long width) = (x.shape[0], x.shape[1], x.shape[2]);
            Tensor[] heads = [.. _queryKeyValue.forward(x).chunk(3, 2).Select(SplitHeads)]; // query, key and value
            Tensor mixed = nn.functional.scaled_dot_product_attention(heads[0], heads[1], heads[2], is_casual: true); // causal
            return _out.forward(mixed.transpose(1, 2).reshape(batch, length, width));

            Tensor SplitHeads(Tensor part) => part.reshape(batch, length, Heads, width / Heads).transpose(1, 2); // [B, heads, T, width]
        }
    }
}
