using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>Every case of golden/grpo_loss.json: TRL's loss and the tutorial's, executed verbatim.</summary>
public sealed class ObjectiveGoldenTests
{
    private const double Tolerance = 1e-5; // the file's README; measured float32 noise is 7e-7

    [SharedFact]
    public void Every_case_equals_trl_in_loss_gradient_and_metrics()
    {
        JsonElement file = GoldenFile.Read("grpo_loss.json");
        foreach (JsonElement item in file.Items("cases"))
        {
            JsonElement parameters = item.GetProperty("params");
            string type = parameters.GetProperty("loss_type").GetString()!;
            string what = $"{type} on {item.GetProperty("input").GetString()} {parameters}";

            ObjectiveCase ours = Configure(file, item);
            bool quirk = item.GetProperty("padded_positions_affect_loss").GetBoolean();
            ObjectiveCase theirs = ours with { PaddingEntersTheLoss = quirk };
            ObjectiveOutcome outcome = theirs.Run();
            Near.Equal(item.GetProperty("loss").Number(), outcome.Loss, Tolerance, $"loss of {what}");
            Near.Equal(item.GetProperty("grad_per_token_logps").Floats(), outcome.Gradient, Tolerance, $"gradient of {what}");
            foreach (JsonProperty metric in item.GetProperty("metrics").EnumerateObject())
            {
                Near.Equal(metric.Value.Number(), Metric(metric.Name, theirs, outcome), Tolerance, $"{metric.Name} of {what}");
            }

            if (quirk)
            {
                AssertPaddingDoesNotEnterOurs(ours, what);
            }
        }
    }

    [SharedFact]
    public void Every_case_equals_the_tutorial()
    {
        JsonElement file = GoldenFile.Read("grpo_loss.json");
        int ran = 0;
        foreach (JsonElement item in file.Items("thelmbook_cases"))
        {
            ran++;
            double epsilon = item.GetProperty("epsilon").GetDouble();
            LossCase inputs = Inputs(file, item.GetProperty("input").GetString()!);
            var loss = new ObjectiveCase(
                inputs with
                {
                    Advantages = item.GetProperty("advantages").Floats(),
                    Old = item.GetProperty("old").GetString() == "per_token_logps" ? inputs.LogProbs : inputs.Old,
                    KlCoefficient = item.GetProperty("beta").GetDouble(),
                    Reduction = LossReduction.SequenceMean,
                },
                new ClippedObjective { Low = epsilon, High = epsilon });
            ObjectiveOutcome outcome = loss.Run();
            Near.Equal(item.GetProperty("loss").Number(), outcome.Loss, Tolerance, $"loss of case {ran}");
            Near.Equal(item.GetProperty("grad_per_token_logps").Floats(), outcome.Gradient, Tolerance, $"gradient of case {ran}");
        }
    }

    // The deviation: TRL's length-scaled loss averages over B·C positions. Ours is what TRL's gives for each completion by itself,
    // without padding, averaged over the completions; and the padding has no gradient.
    private static void AssertPaddingDoesNotEnterOurs(ObjectiveCase ours, string what)
    {
        ObjectiveOutcome outcome = ours.Run();
        double alone = Enumerable.Range(0, (int)ours.Data.Rows).Select(row => Trimmed(ours.Take(row))).Average(
            row => row is null ? 0 : (row with { PaddingEntersTheLoss = true }).Run().Loss);
        Near.Equal(alone, outcome.Loss, Tolerance, $"our loss of {what}");
        Assert.All(outcome.Gradient.Zip(ours.Data.Mask).Where(pair => pair.Second == 0), pair => Assert.Equal(0f, pair.First));
    }

    // One row without its masked positions, holes included; null when nothing is left.
    private static ObjectiveCase? Trimmed(ObjectiveCase row)
    {
        LossCase data = row.Data;
        return data.Tokens == 0 ? null : row with
        {
            Entropies = null,
            Data = data with
            {
                Columns = data.Tokens,
                LogProbs = Keep(data.LogProbs),
                Old = data.Old is null ? null : Keep(data.Old),
                Reference = data.Reference is null ? null : Keep(data.Reference),
                Mask = Keep(data.Mask),
            },
        };

        float[] Keep(float[] values) => [.. values.Zip(data.Mask).Where(pair => pair.Second != 0).Select(pair => pair.First)];
    }

    private static double Metric(string name, ObjectiveCase loss, ObjectiveOutcome outcome) => name switch
    {
        "kl" => outcome.Kl,
        "entropy" => loss.Entropies!.Zip(loss.Data.Mask).Sum(pair => (double)pair.First * pair.Second) / loss.Data.Tokens,
        "clip_ratio/low_mean" => outcome.Clips!.Value.LowMean,
        "clip_ratio/high_mean" or "cispo_clip_ratio" => outcome.Clips!.Value.HighMean,
        "clip_ratio/region_mean" => outcome.Clips!.Value.RegionMean,
        "clip_ratio/low_min" => outcome.Clips!.Value.LowMin,
        "clip_ratio/high_max" => outcome.Clips!.Value.HighMax,
        "vespo/phi_seq_mean" => outcome.Phi!.Value,
        // TRL logs it before it divides by the accumulation steps, which the loss types over the step's tokens do not.
        "policy_loss" => outcome.PolicyLoss * (loss.EntropyTokens is null ? loss.Accumulation : 1),
        "entropy_coef" => loss.EntropyCoefficient,
        _ => throw new ArgumentOutOfRangeException(nameof(name), name, "A metric that this test does not know."),
    };

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

    private static ObjectiveCase Configure(JsonElement file, JsonElement item)
    {
        JsonElement parameters = item.GetProperty("params");
        string type = parameters.GetProperty("loss_type").GetString()!;
        string name = item.GetProperty("input").GetString()!;
        LossCase inputs = Inputs(file, name);
        bool dividesByItems = type is "dapo" or "cispo" or "vespo";
        // An accumulated gradient divides by the micro-batches of the step: here that is part of the step's counts.
        long accumulation = parameters.GetProperty("gradient_accumulation_steps").GetInt64();
        long items = parameters.GetProperty("num_items_in_batch").GetInt64();
        int maximum = (int)(parameters.GetProperty("max_completion_length").NumberOrNull() ?? 1);
        return new ObjectiveCase(
            inputs with
            {
                KlCoefficient = parameters.GetProperty("beta").GetDouble(),
                Reduction = type switch
                {
                    "grpo" or "sapo" => LossReduction.SequenceMean,
                    "dr_grpo" => LossReduction.FixedLength,
                    "luspo" => LossReduction.SequenceSum,
                    _ => LossReduction.TokenMean,
                },
                Denominators = new LossDenominators(
                    inputs.Rows * accumulation, dividesByItems ? items : inputs.Tokens * accumulation, maximum),
            },
            Objective(type, parameters))
        {
            Kl = parameters.GetProperty("use_bias_correction_kl").GetBoolean() ? KlEstimator.ImportanceCorrectedK3 : KlEstimator.K3,
            OffPolicyThreshold = parameters.GetProperty("off_policy_mask_threshold").NumberOrNull(),
            Entropies = file.GetProperty("inputs").GetProperty(name).GetProperty("entropies").Floats(),
            TopEntropy = parameters.GetProperty("top_entropy_quantile").GetDouble(),
            EntropyCoefficient = parameters.GetProperty("entropy_coef").GetDouble(),
            EntropyTokens = dividesByItems ? items : null,
            Accumulation = accumulation,
        };
    }

    private static PolicyObjective Objective(string type, JsonElement parameters)
    {
        bool bySequence = parameters.GetProperty("importance_sampling_level").GetString() == "sequence";
        RatioLevel level = bySequence ? RatioLevel.Sequence : RatioLevel.Token;
        double low = Number("epsilon");
        double high = parameters.GetProperty("epsilon_high").NumberOrNull() ?? low;
        double? cap = parameters.GetProperty("delta").NumberOrNull();
        return type switch
        {
            "cispo" => new CispoObjective { Cap = high, Level = level }, // TRL's epsilon_high is the cap itself
            "sapo" => new SapoObjective
            {
                PositiveTemperature = Number("sapo_temperature_pos"),
                NegativeTemperature = Number("sapo_temperature_neg"),
                Level = level,
            },
            "vespo" => new VespoObjective
            {
                PositiveK = Number("vespo_k_pos"),
                PositiveLambda = Number("vespo_lambda_pos"),
                NegativeK = Number("vespo_k_neg"),
                NegativeLambda = Number("vespo_lambda_neg"),
            },
            _ when bySequence => new GspoObjective { Low = low, High = high, Cap = cap },
            _ => new ClippedObjective { Low = low, High = high, Cap = cap },
        };

        double Number(string name) => parameters.GetProperty(name).GetDouble();
    }
}
