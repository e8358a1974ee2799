using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Losses;

/// <summary>Against TRL's loss and against the tutorial's, executed verbatim (golden/grpo_loss.json).</summary>
public sealed class GrpoLossGoldenTests
{
    private const double Tolerance = 1e-5; // the file's README; measured float32 noise is 7e-7

    [SharedFact]
    public void Compute_equals_trl_in_loss_gradient_and_metrics()
    {
        JsonElement file = GoldenFile.Read("grpo_loss.json");
        foreach (JsonElement item in GoldenItems.AtLeastOne(
            file.Items("cases").Where(item => IsExpressible(item.GetProperty("params"))), "cases that GrpoOptions can say"))
        {
            JsonElement parameters = item.GetProperty("params");
            string type = parameters.GetProperty("loss_type").GetString()!;
            string input = item.GetProperty("input").GetString()!;
            LossCase loss = Configure(Inputs(file, input), parameters);
            Compare(item, loss, loss.Run(), $"{type} on {input} {parameters}");
        }
    }

    [SharedFact]
    public void Compute_and_GroupNormalized_equal_the_tutorial()
    {
        JsonElement file = GoldenFile.Read("grpo_loss.json");
        int ran = 0;
        foreach (JsonElement item in file.Items("thelmbook_cases"))
        {
            ran++;
            double?[] rewards = [.. item.GetProperty("rewards").EnumerateArray().Select(reward => reward.NumberOrNull())];
            int size = item.GetProperty("num_generations").GetInt32();
            double[] advantages = [.. new GroupNormalizedAdvantage().Compute(
                [.. rewards.Chunk(size).Select(group => new AdvantageGroup(group, new int[group.Length]))]).SelectMany(group => group)];
            float[] floats = [.. advantages.Select(advantage => (float)advantage)];
            Near.Equal(item.GetProperty("advantages").Floats(), floats, Tolerance, $"advantages of case {ran}");

            double epsilon = item.GetProperty("epsilon").GetDouble();
            LossCase inputs = Inputs(file, item.GetProperty("input").GetString()!);
            LossCase loss = inputs with
            {
                Advantages = floats,
                Old = item.GetProperty("old").GetString() == "per_token_logps" ? inputs.LogProbs : inputs.Old,
                ClipRange = new ClipRange(epsilon, epsilon),
                KlCoefficient = item.GetProperty("beta").GetDouble(),
                Reduction = LossReduction.SequenceMean,
            };
            LossOutcome outcome = loss.Run();
            Near.Equal(item.GetProperty("loss").Number(), outcome.Loss, Tolerance, $"loss of case {ran}");
            Near.Equal(item.GetProperty("grad_per_token_logps").Floats(), outcome.Gradient, Tolerance, $"gradient of case {ran}");
        }
    }

    // What GrpoOptions can say: no other objective, no sequence-level ratio, no mask but padding, no entropy bonus.
    private static bool IsExpressible(JsonElement parameters) =>
        parameters.GetProperty("loss_type").GetString() is "grpo" or "dapo" or "bnpo" or "dr_grpo"
        && parameters.GetProperty("importance_sampling_level").GetString() == "token"
        && parameters.GetProperty("off_policy_mask_threshold").ValueKind == JsonValueKind.Null
        && parameters.GetProperty("top_entropy_quantile").GetDouble() == 1
        && parameters.GetProperty("entropy_coef").GetDouble() == 0
        && !parameters.GetProperty("use_bias_correction_kl").GetBoolean();

    private static LossCase Inputs(JsonElement file, string name)
    {
        JsonElement input = file.GetProperty("inputs").GetProperty(name);
        JsonElement logProbs = input.GetProperty("per_token_logps");
        JsonElement old = input.GetProperty("old_per_token_logps");
        long[] shape = logProbs.Shape();
        return new LossCase(
            shape[0], shape[1], logProbs.Floats(), old.ValueKind == JsonValueKind.Null ? null : old.Floats(),
            input.GetProperty("ref_per_token_logps").Floats(), input.GetProperty("advantages").Floats(),
            input.GetProperty("completion_mask").Floats());
    }

    private static LossCase Configure(LossCase inputs, JsonElement parameters)
    {
        string type = parameters.GetProperty("loss_type").GetString()!;
        double epsilon = parameters.GetProperty("epsilon").GetDouble();
        // An accumulated gradient divides by the micro-batches of the step: here that is part of the step's counts.
        long accumulation = parameters.GetProperty("gradient_accumulation_steps").GetInt64();
        long tokens = type == "dapo" ? parameters.GetProperty("num_items_in_batch").GetInt64() : inputs.Tokens * accumulation;
        int maximum = (int)(parameters.GetProperty("max_completion_length").NumberOrNull() ?? 1);
        return inputs with
        {
            ClipRange = new ClipRange(
                epsilon, parameters.GetProperty("epsilon_high").NumberOrNull() ?? epsilon, parameters.GetProperty("delta").NumberOrNull()),
            KlCoefficient = parameters.GetProperty("beta").GetDouble(),
            Reduction = type switch
            {
                "grpo" => LossReduction.SequenceMean,
                "dr_grpo" => LossReduction.FixedLength,
                _ => LossReduction.TokenMean,
            },
            Denominators = new LossDenominators(inputs.Rows * accumulation, tokens, maximum),
        };
    }

    private static void Compare(JsonElement item, LossCase loss, LossOutcome outcome, string what)
    {
        Near.Equal(item.GetProperty("loss").Number(), outcome.Loss, Tolerance, $"loss of {what}");
        Near.Equal(item.GetProperty("grad_per_token_logps").Floats(), outcome.Gradient, Tolerance, $"gradient of {what}");
        JsonElement metrics = item.GetProperty("metrics");
        if (metrics.TryGetProperty("kl", out JsonElement kl))
        {
            Near.Equal(kl.Number(), outcome.Sums[0] / loss.Tokens, Tolerance, $"kl of {what}");
        }

        Near.Equal(metrics.GetProperty("clip_ratio/low_mean").Number(), outcome.Sums[1] / loss.Tokens, Tolerance, $"lower clips of {what}");
        Near.Equal(
            metrics.GetProperty("clip_ratio/high_mean").Number(), outcome.Sums[2] / loss.Tokens, Tolerance, $"upper clips of {what}");
    }
}
