using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Rollouts;
using Grpo.Testing;

namespace Grpo.Core.Tests.Rollouts;

public sealed class SamplingFiltersTests
{
    [SharedFact]
    public void Apply_equals_transformers_in_kept_set_and_probabilities()
    {
        JsonElement file = GoldenFile.Read("sampling_filters.json");
        int ran = 0;
        foreach (JsonElement item in file.Items("cases"))
        {
            int row = item.GetProperty("row").GetInt32();
            JsonElement parameters = item.GetProperty("params");
            float[] logits = file.GetProperty("logits")[row].Floats();
            int[] history = [.. file.GetProperty("input_ids_history")[row].EnumerateArray().Select(id => id.GetInt32())];
            SamplingFilters.Apply(logits, history, new SamplingOptions
            {
                Temperature = parameters.GetProperty("temperature").GetDouble(),
                TopK = parameters.GetProperty("top_k").GetInt32(),
                TopP = parameters.GetProperty("top_p").GetDouble(),
                MinP = parameters.GetProperty("min_p").NumberOrNull() ?? 0,
                RepetitionPenalty = parameters.GetProperty("repetition_penalty").GetDouble(),
            });

            string what = $"case {ran++}, {parameters}";
            float[] expected = item.GetProperty("probs").Floats();
            Assert.True(
                expected.Select(value => value > 0).SequenceEqual(logits.Select(logit => !float.IsNegativeInfinity(logit))),
                $"{what}: {item.GetProperty("kept")} tokens should stay, "
                + $"{logits.Count(logit => !float.IsNegativeInfinity(logit))} did, or others.");
            Near.Equal(expected, Softmax(logits), 1e-5, what);
        }
    }

    [Fact]
    public void Apply_only_divides_by_the_temperature_when_all_filters_are_off()
    {
        float[] logits = [2, -4, 0, float.NegativeInfinity];
        SamplingFilters.Apply(logits, [0, 1, 2, 3], new SamplingOptions { Temperature = 2 });
        Assert.Equal([1, -2, 0, float.NegativeInfinity], logits);
    }

    [Fact]
    public void Apply_penalizes_a_token_once_however_often_it_occurred()
    {
        float[] logits = [2, -4, 3, 1];
        SamplingFilters.Apply(logits, [0, 0, 0, 1, 1], new SamplingOptions { RepetitionPenalty = 2 });
        Assert.Equal([1, -8, 3, 1], logits);
    }

    [Fact]
    public void Apply_keeps_ties_with_the_last_of_the_top_k()
    {
        float[] logits = [1, 3, 2, 2, 0];
        SamplingFilters.Apply(logits, [], new SamplingOptions { TopK = 2 });
        Assert.Equal([float.NegativeInfinity, 3, 2, 2, float.NegativeInfinity], logits);
    }

    [Fact]
    public void Apply_keeps_the_best_token_under_the_strictest_filters()
    {
        float[] logits = [1, 3, 2];
        SamplingFilters.Apply(logits, [], new SamplingOptions { TopK = 1, TopP = 1e-9, MinP = 1 });
        Assert.Equal([float.NegativeInfinity, 3, float.NegativeInfinity], logits);
    }

    private static float[] Softmax(float[] logits)
    {
        double maximum = logits.Max();
        double[] weights = [.. logits.Select(logit => Math.Exp(logit - maximum))];
        double total = weights.Sum();
        return [.. weights.Select(weight => (float)(weight / total))];
    }
}
