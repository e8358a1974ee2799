using System.Text.Json;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// golden/e2e_grpo.json: the tutorial's update, run verbatim by an independent implementation on fixed rollouts of model-A, against
/// ours through the public optimizer. Several updates on one rollout, so that ratio, clip, KL, clipping by norm and Adam all take part.
/// </summary>
public sealed class GoldenGrpoTests
{
    private readonly JsonElement _golden = JsonDocument.Parse(File.ReadAllText(SharedData.Path("golden", "e2e_grpo.json"))).RootElement;

    [SharedFact]
    public async Task StepAsync_equals_the_tutorial_update_on_fixed_rollouts()
    {
        using var policy = new QwenPolicy(QwenWeights.Load(SharedData.Path("golden", $"model-{_golden.GetProperty("model").GetString()}")));
        using var optimizer = new GrpoOptimizer(
            policy, new FixedSampler(_golden), new FixedReward(_golden), Options(), new FixedReference(_golden));

        AssertLogProbs(policy, _golden.GetProperty("iterations")[0].GetProperty("policy_logps_before_update"));
        StepReport report = await optimizer.StepAsync(Prompts());

        float[] advantages = Floats(_golden.GetProperty("advantages"));
        Assert.All(
            report.Groups.SelectMany(group => group.Advantages).Zip(advantages),
            pair => Assert.Equal(pair.Second, pair.First, tolerance: 1e-5));
        IReadOnlyList<JsonElement> iterations = _golden.Items("iterations");
        Assert.Equal(iterations.Count, report.Updates.Count);
        for (int i = 0; i < iterations.Count; i++)
        {
            Assert.Equal(iterations[i].GetProperty("loss").GetDouble(), report.Updates[i].Loss, tolerance: 1e-4);
            double norm = iterations[i].GetProperty("grad_norm_before_clip").GetDouble();
            Assert.Equal(norm, report.Updates[i].GradientNorm, tolerance: 1e-3 * norm);
        }

        AssertLogProbs(policy, _golden.GetProperty("policy_logps_after_last_update"));
        AssertParameters(policy);
    }

    [SharedTheory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task StepAsync_does_not_depend_on_the_micro_batch_size(int microBatchSize)
    {
        StepReport whole = await StepAsync(microBatchSize: _golden.Items("rewards").Count);
        StepReport split = await StepAsync(microBatchSize);

        AssertSameUpdates(whole, split);
    }

    /// <summary>
    /// The same rollouts with models of other families, for which the tutorial has no numbers: each optimization leaves losses, norms and
    /// new weights as they were.
    /// </summary>
    [SharedTheory]
    [InlineData("qwen3-A")]
    [InlineData("qwen3-B")]
    [InlineData("llama-A")]
    [InlineData("llama-B")]
    public async Task StepAsync_of_every_family_does_not_depend_on_optimizations(string model)
    {
        (StepReport plain, Dictionary<string, float[]> weights) = await StepAsync(model, Options() with { SharePrompts = false });
        Assert.Equal(_golden.GetProperty("mu").GetInt32(), plain.Updates.Count);
        Assert.All(plain.Updates, update => Assert.True(update.GradientNorm > 0 && double.IsFinite(update.Loss + update.GradientNorm)));
        (GrpoOptions Options, bool Checkpoints)[] ways =
        [
            (Options() with { SharePrompts = true }, false),
            (Options() with { SharePrompts = false }, true),
            (Options() with { SharePrompts = true, MicroBatchSize = 3 }, true),
        ];
        foreach ((GrpoOptions options, bool checkpoints) in ways)
        {
            (StepReport report, Dictionary<string, float[]> same) = await StepAsync(model, options, checkpoints);
            AssertSameUpdates(plain, report);
            // A step of Adam is about lr; a tenth of it is far above rounding and far below a wrong step.
            Assert.All(weights, entry => Assert.All(
                entry.Value.Zip(same[entry.Key]), pair => Assert.Equal(pair.First, pair.Second, tolerance: 0.1 * Number("lr"))));
        }
    }

    private async Task<(StepReport Report, Dictionary<string, float[]> Weights)> StepAsync(
        string model, GrpoOptions options, bool checkpoints = false)
    {
        using var policy = new QwenPolicy(QwenWeights.Load(SharedData.Path("golden", "families", model)));
        using QwenReferenceModel reference = QwenReferenceModel.CopyOf(policy);
        policy.Model.GradientCheckpointing = checkpoints;
        int vocabulary = policy.Model.Config.VocabularySize;
        using var optimizer = new GrpoOptimizer(
            policy, new FixedSampler(_golden, vocabulary), new FixedReward(_golden), options, reference);
        StepReport report = await optimizer.StepAsync(Prompts());
        return (report, policy.Module.named_parameters()
            .ToDictionary(named => named.name, named => named.parameter.data<float>().ToArray()));
    }

    private static void AssertSameUpdates(StepReport expected, StepReport actual) =>
        Assert.All(expected.Updates.Zip(actual.Updates), pair =>
        {
            // Float32 sums in another order: 1e-5 relative is a hundred units in the last place.
            Assert.Equal(pair.First.Loss, pair.Second.Loss, tolerance: 1e-5 * Math.Max(1, Math.Abs(pair.First.Loss)));
            Assert.Equal(pair.First.GradientNorm, pair.Second.GradientNorm, tolerance: 1e-5 * pair.First.GradientNorm);
        });

    private async Task<StepReport> StepAsync(int microBatchSize)
    {
        using var policy = new QwenPolicy(QwenWeights.Load(SharedData.Path("golden", $"model-{_golden.GetProperty("model").GetString()}")));
        GrpoOptions options = Options() with { MicroBatchSize = microBatchSize };
        using var optimizer = new GrpoOptimizer(
            policy, new FixedSampler(_golden), new FixedReward(_golden), options, new FixedReference(_golden));
        return await optimizer.StepAsync(Prompts());
    }

    private int GroupSize => _golden.GetProperty("num_generations").GetInt32();

    private IReadOnlyList<Prompt> Prompts() =>
        [.. Enumerable.Range(0, _golden.Items("rewards").Count / GroupSize)
            .Select(i => Prompt.Create(i.ToString(System.Globalization.CultureInfo.InvariantCulture), "a"))];

    // The file's settings; Adam is without decay, and the loss the mean over sequences.
    private GrpoOptions Options() => new()
    {
        GroupSize = GroupSize,
        PromptsPerStep = Prompts().Count,
        KlCoefficient = Number("beta"),
        Objective = new ClippedObjective { Low = Number("epsilon"), High = Number("epsilon") },
        Reduction = LossReduction.SequenceMean,
        UpdatesPerRollout = _golden.GetProperty("mu").GetInt32(),
        LearningRate = Number("lr"),
        MaxGradientNorm = Number("max_grad_norm"),
        MicroBatchSize = _golden.Items("rewards").Count,
    };

    private double Number(string name) => _golden.GetProperty(name).GetDouble();

    private void AssertLogProbs(QwenPolicy policy, JsonElement expected)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build([.. FixedSampler.Rows(_golden)], padTokenId: 0, CPU);
        float[] actual = [.. policy.LogProbs(batch, temperature: 1).data<float>()];
        float[] wanted = [.. expected.EnumerateArray().SelectMany(row => Floats(row).Take((int)batch.CompletionLength))];
        Assert.All(wanted.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, tolerance: 1e-3));
    }

    private void AssertParameters(QwenPolicy policy)
    {
        Dictionary<string, Parameter> parameters = policy.Module.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        Assert.All(_golden.GetProperty("final_parameter_l2_norms").EnumerateObject(), norm =>
        {
            using var scope = TensorScope.BeginNoGrad();
            Assert.Equal(norm.Value.GetDouble(), parameters[norm.Name].norm().item<float>(), tolerance: 1e-4 * norm.Value.GetDouble());
        });
        AssertTensor(parameters["model.norm.weight"], _golden.GetProperty("final_norm_weight"));
        AssertTensor(parameters["model.layers.0.self_attn.q_proj.bias"], _golden.GetProperty("final_q_bias_layer0"));
    }

    private static void AssertTensor(Tensor actual, JsonElement expected)
    {
        using var scope = TensorScope.BeginNoGrad();
        // A step of Adam is about lr, 1e-4 in the public set; a tenth of it is far above rounding and far below a wrong step.
        Assert.All(Floats(expected).Zip(actual.detach().data<float>()), pair => Assert.Equal(pair.First, pair.Second, tolerance: 1e-5));
    }

    private static float[] Floats(JsonElement array) => [.. array.EnumerateArray().Select(value => value.GetSingle())];

    /// <summary>The file's rollouts. Ids beyond the vocabulary are taken modulo its size.</summary>
    private sealed class FixedSampler(JsonElement golden, int vocabulary = int.MaxValue) : IGroupSampler
    {
        public static IEnumerable<TokenSequence> Rows(JsonElement golden)
        {
            for (int row = 0; row < golden.Items("rewards").Count; row++)
            {
                yield return new TokenSequence(Masked(golden, "prompt", row), Masked(golden, "completion", row));
            }
        }

        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
        {
            TokenSequence[] rows = [.. Rows(golden).Select(row => new TokenSequence(Known(row.PromptIds), Known(row.CompletionIds)))];
            int size = request.GroupSize;
            return ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select((prompt, i) => new RolloutGroup(
                prompt, rows[size * i].PromptIds,
                [.. rows.Skip(size * i).Take(size).Select(row => new Completion(row.CompletionIds, "", FinishReason.EndToken))]))]);
        }

        private int[] Known(IReadOnlyList<int> ids) => [.. ids.Select(id => id % vocabulary)];

        private static int[] Masked(JsonElement golden, string part, int row)
        {
            JsonElement ids = golden.GetProperty(part + "_ids")[row], mask = golden.GetProperty(part + "_mask")[row];
            return [.. ids.EnumerateArray().Zip(mask.EnumerateArray()).Where(pair => pair.Second.GetInt32() == 1)
                .Select(pair => pair.First.GetInt32())];
        }
    }

    private sealed class FixedReward(JsonElement golden) : IRewardFunction
    {
        public string Name => "fixed";

        public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
        {
            int size = group.Completions.Count;
            int first = size * int.Parse(group.Prompt.Id, System.Globalization.CultureInfo.InvariantCulture);
            return ValueTask.FromResult<IReadOnlyList<Reward>>(
                [.. Enumerable.Range(first, size).Select(i => (Reward)golden.GetProperty("rewards")[i].GetDouble())]);
        }
    }

    /// <summary>The file gives the reference's log-probs per row; a row of a micro-batch is found by its tokens.</summary>
    private sealed class FixedReference(JsonElement golden) : IReferenceModel
    {
        public Tensor LogProbs(TokenBatch batch, double temperature)
        {
            using var scope = TensorScope.BeginNoGrad();
            TokenSequence[] rows = [.. FixedSampler.Rows(golden)];
            long columns = batch.CompletionLength;
            var values = new float[batch.Count * columns];
            for (long i = 0; i < batch.Count; i++)
            {
                long[] ids = [.. batch.CompletionIds[i].data<long>()];
                float[] mask = [.. batch.CompletionMask[i].data<float>()];
                int row = Array.FindIndex(
                    rows, candidate => candidate.CompletionIds.Select(id => (long)id).SequenceEqual(ids.Take((int)mask.Sum()))
                        && candidate.PromptIds.Select(id => (long)id)
                            .SequenceEqual(batch.PromptIds[i].data<long>().TakeLast(candidate.PromptIds.Count)));
                float[] given = Floats(golden.GetProperty("ref_logps")[row]);
                for (long t = 0; t < columns; t++)
                {
                    values[(i * columns) + t] = mask[t] * given[t];
                }
            }

            return scope.Keep(tensor(values, batch.Count, columns));
        }
    }
}
