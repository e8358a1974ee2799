using Grpo.Modeling;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>
/// The cases of a model: prefill, decoding, log-probs and updates. Each list is timed together and freed before the next.
/// </summary>
internal sealed class ModelCases(Shape shape, Device device) : IDisposable
{
    private readonly QwenPolicy _policy = new(CausalLM.Initialize(shape.Config, seed: 1, device));
    private readonly RandomText _text = new(shape.Config.VocabularySize);

    private CausalLM Model => _policy.Model;

    /// <summary>Returns the prefill of prompts of one length, up to the logits of the next token.</summary>
    public IReadOnlyList<Case> Prefill(int prompts, int length)
    {
        TokenSequence[] sequences =
            [.. _text.Prompts(prompts, length).Select(prompt => new TokenSequence(_text.Encode(prompt.Messages[^1].Text), []))];
        return
        [
            new($"prefill {prompts} x {length}", prompts * length, () =>
            {
                using var scope = TensorScope.BeginNoGrad();
                using IDecodingSession session = _policy.StartDecoding(
                    TokenBatchBuilder.Build(sequences, 0, device), groupSize: 1, maxNewTokens: 1);
                Finish(session.Prefill());
            })
            {
                Operations = shape.ForwardOperations(prompts, length, prompts),
            },
        ];
    }

    /// <summary>
    /// Returns the decoding of some tokens for the rows of a group after a prompt: by the library, by the library in 8 bits, and by a
    /// simple decoder.
    /// </summary>
    public IReadOnlyList<Case> Decode(int rows, int promptLength, int tokensPerRun, int rounds, List<IDisposable> sessions)
    {
        int capacity = (tokensPerRun * (rounds + 2)) + 1;
        var simple = new SimpleDecoder(Model);
        sessions.Add(simple);
        Tensor first = Prompt(promptLength);
        Tensor simpleIds = simple.Advance(first).argmax(1).repeat_interleave(rows).DetachFromDisposeScope();
        simple.Repeat(rows);
        Func<Tensor, Tensor> ours = Session(rows, first, capacity, int8: false, sessions);
        var cases = new List<Case>
        {
            Run("simple", simpleIds, ids => simple.Advance(ids.unsqueeze(1))),
            Run("decode", simpleIds, ours),
        };
        if (device.type == DeviceType.CPU)
        {
            cases.Add(Run("int8", simpleIds, Session(rows, first, capacity, int8: true, sessions)));
        }

        return cases;

        Case Run(string name, Tensor start, Func<Tensor, Tensor> advance) =>
            Decoding($"{name} b={rows}, {promptLength} before", name == "int8", (rows, promptLength, tokensPerRun), start, advance) with
            {
                Baseline = name == "simple" ? null : $"simple b={rows}, {promptLength} before",
            };
    }

    /// <summary>Returns the decoding of some tokens for the rows of a group by the library alone, as llama.cpp decodes them.</summary>
    public IReadOnlyList<Case> DecodeAsPeer(int rows, bool int8, int rounds, List<IDisposable> sessions)
    {
        using var scope = TensorScope.BeginNoGrad();
        Func<Tensor, Tensor> advance = Session(
            rows, Prompt(PeerCases.TokensBefore), PeerCases.NewTokens(shape, rounds) + 1, int8, sessions);
        return
        [
            Decoding(
                PeerCases.DecodeName(shape, rows, int8), int8, (rows, PeerCases.TokensBefore, PeerCases.TokensPerRun(shape)),
                zeros(rows, ScalarType.Int64, device), advance),
        ];
    }

    /// <summary>Returns the log-probs without gradients, as a reference model computes them.</summary>
    public IReadOnlyList<Case> LogProbs(int groups, int groupSize, int promptLength, int completionLength)
    {
        TokenSequence[] sequences = Sequences(_text.Groups(groups, groupSize, promptLength, completionLength));
        return
        [
            new(
                $"log-probs {sequences.Length} x ({promptLength} + {completionLength})",
                sequences.Length * (promptLength + completionLength), () =>
                {
                    using var scope = TensorScope.BeginNoGrad();
                    Finish(_policy.LogProbs(TokenBatchBuilder.Build(sequences, 0, device), 1));
                })
            {
                Operations = shape.ForwardOperations(
                    sequences.Length, promptLength + completionLength, sequences.Length * completionLength),
            },
        ];
    }

    /// <summary>
    /// Returns whole updates: forward pass, backward pass, gradient norm and AdamW. There is one each without and with gradient
    /// checkpointing, and one in mixed precision.
    /// </summary>
    public IReadOnlyList<Case> Update(int sequences, int length, List<IDisposable> optimizers)
    {
        IReadOnlyList<ScoredGroup> groups = _text.Groups(sequences, 1, 1, length - 1);
        GrpoOptimizer optimizer = Optimizer(sharePrompts: true, optimizers);
        double operations = 3 * shape.ForwardOperations(sequences, length, sequences * (length - 1));
        return
        [
            new($"update {sequences} x {length}", sequences * length, () => Update(checkpointing: false)) { Operations = operations },
            new($"update {sequences} x {length}, checkpointing", sequences * length, () => Update(checkpointing: true))
            {
                Operations = operations,
            },
            new($"update {sequences} x {length}, bfloat16", sequences * length, () => Update(checkpointing: false, ScalarType.BFloat16))
            {
                Baseline = $"update {sequences} x {length}",
                OperationsInBFloat16 = operations,
            },
        ];

        void Update(bool checkpointing, ScalarType type = ScalarType.Float32)
        {
            (Model.GradientCheckpointing, Model.ComputeType) = (checkpointing, type);
            optimizer.Update(groups);
            (Model.GradientCheckpointing, Model.ComputeType) = (false, ScalarType.Float32);
        }
    }

    /// <summary>
    /// Returns the update of one group with its prompt computed once, and once per completion. Each runs twice in a row, because the first
    /// run finds the heap in the state that the other case left.
    /// </summary>
    public IReadOnlyList<Case> SharedPrompt(int groupSize, int promptLength, int completionLength, List<IDisposable> optimizers)
    {
        IReadOnlyList<ScoredGroup> groups = _text.Groups(1, groupSize, promptLength, completionLength);
        int tokens = groupSize * (promptLength + completionLength);
        string name = $"update G={groupSize}, P={promptLength}, C={completionLength}, ";
        GrpoOptimizer unshared = Optimizer(sharePrompts: false, optimizers), shared = Optimizer(sharePrompts: true, optimizers);
        return
        [
            new($"{name}{PeerCases.PromptPerCompletion}", tokens, () => unshared.Update(groups))
            {
                Tries = 2,
                Operations = 3 * shape.ForwardOperations(groupSize, promptLength + completionLength, groupSize * completionLength),
            },
            new($"{name}{PeerCases.PromptOnce}", tokens, () => shared.Update(groups))
            {
                Tries = 2,
                Baseline = $"{name}{PeerCases.PromptPerCompletion}",
                Operations = 3 * shape.SharedForwardOperations(1, groupSize, promptLength, completionLength),
            },
        ];
    }

    /// <summary>
    /// Returns the update of whole groups as a trainer does it: log-probs of a reference model, forward pass, backward pass, gradient norm
    /// and AdamW. All rows are in one micro-batch.
    /// </summary>
    public IReadOnlyList<Case> UpdateWithReference(
        int groups, int groupSize, int promptLength, int completionLength, List<IDisposable> owners)
    {
        IReadOnlyList<ScoredGroup> scored = _text.Groups(groups, groupSize, promptLength, completionLength);
        var reference = new QwenReferenceModel(Model.Clone());
        owners.Add(reference);
        int rows = groups * groupSize;
        GrpoOptimizer optimizer = Optimizer(sharePrompts: true, owners, reference, rows);
        return
        [
            new($"update with reference, {rows} x ({promptLength} + {completionLength}), G={groupSize}",
                rows * (promptLength + completionLength),
                () => optimizer.Update(scored))
            {
                // including the reference's forward pass
                Operations = 4 * shape.SharedForwardOperations(groups, groupSize, promptLength, completionLength),
            },
        ];
    }

    /// <summary>Returns a whole rollout by the library's sampler.</summary>
    public IReadOnlyList<Case> Rollout(int prompts, int groupSize, int promptLength, int completionLength)
    {
        var sampler = new PolicyGroupSampler(_text, _text);
        var request = new RolloutRequest
        {
            Prompts = _text.Prompts(prompts, promptLength),
            GroupSize = groupSize,
            Sampling = new SamplingOptions
            {
                MaxCompletionTokens = completionLength,
                MaxPromptTokens = promptLength,
                MaxConcurrentSequences = prompts * groupSize,
            },
        };
        long rows = prompts * groupSize, steps = completionLength - 1;
        return
        [
            new($"generate {rows} x ({promptLength} + {completionLength})", prompts * groupSize * completionLength,
                () => sampler.SampleAsync(_policy, request).AsTask().GetAwaiter().GetResult())
            {
                Operations = shape.ForwardOperations(prompts, promptLength, prompts) + (2.0 * rows * steps * shape.ReadWeights),
                Bytes = steps
                    * (((double)shape.ReadWeights * sizeof(float)) + (rows * (promptLength + (completionLength / 2.0)) * shape.CacheBytes)),
            },
        ];
    }

    public void Dispose() => _policy.Dispose();

    private Case Decoding(
        string name, bool int8, (int Rows, int Before, int Steps) size, Tensor start, Func<Tensor, Tensor> advance)
    {
        Tensor last = start.clone().DetachFromDisposeScope();
        return new Case(name, size.Rows * size.Steps, () =>
        {
            for (int token = 0; token < size.Steps; token++)
            {
                using var scope = TensorScope.BeginNoGrad();
                Tensor next = scope.Release(advance(last).argmax(1));
                last.Dispose();
                last = next;
            }

            Finish(last.clone());
        })
        {
            Bytes = size.Steps * (((double)shape.ReadWeights * (int8 ? 1 : sizeof(float)))
                + ((double)size.Rows * size.Before * shape.CacheBytes)),
            Operations = int8 ? 0 : size.Steps * (2.0 * size.Rows * shape.ReadWeights),
        };
    }

    private GrpoOptimizer Optimizer(
        bool sharePrompts, List<IDisposable> optimizers, IReferenceModel? reference = null, int? microBatch = null)
    {
        var optimizer = new GrpoOptimizer(_policy, new PolicyGroupSampler(_text, _text), new HashReward(), new GrpoOptions
        {
            LearningRate = 1e-9,
            SharePrompts = sharePrompts,
            KlCoefficient = reference is null ? 0 : 0.04,
            MicroBatchSize = microBatch ?? new GrpoOptions().MicroBatchSize,
            GradientSpikeFactor = null,
            Sampling = new SamplingOptions { MaxCompletionTokens = 1024 },
        }, reference);
        optimizers.Add(optimizer);
        return optimizer;
    }

    private Func<Tensor, Tensor> Session(int rows, Tensor prompt, int maxNewTokens, bool int8, List<IDisposable> sessions)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenSequence sequence = new([.. prompt.cpu().data<long>().ToArray().Select(id => (int)id)], []);
        _policy.Int8Rollouts = int8;
        IDecodingSession session = _policy.StartDecoding(TokenBatchBuilder.Build([sequence], 0, device), rows, maxNewTokens);
        _policy.Int8Rollouts = false;
        sessions.Add(session);
        session.Prefill();
        return session.Advance;
    }

    private Tensor Prompt(int length) =>
        tensor(_text.Encode(_text.Prompts(1, length)[0].Messages[^1].Text).Select(id => (long)id).ToArray(), device: device).unsqueeze(0);

    private static TokenSequence[] Sequences(IReadOnlyList<ScoredGroup> groups) =>
        [.. groups.SelectMany(
            scored => scored.Group.Completions.Select(completion => new TokenSequence(scored.Group.PromptTokenIds, completion.TokenIds)))];

    // Copying a number to the CPU waits until the device has finished.
    private static void Finish(Tensor result)
    {
        using var scope = TensorScope.BeginNoGrad();
        result.reshape(-1).narrow(0, 0, 1).cpu();
        result.Dispose();
    }
}
