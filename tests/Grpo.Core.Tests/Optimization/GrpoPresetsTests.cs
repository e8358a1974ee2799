using Grpo.Losses;

namespace Grpo.Core.Tests.Optimization;

public sealed class GrpoPresetsTests
{
    [Fact]
    public void Get_knows_every_name_and_each_preset_is_valid()
    {
        Assert.Equal(
            ["default", "grpo", "dapo", "dr-grpo", "gspo", "cispo", "sapo", "rloo", "reinforce++", "thelmbook"], GrpoPresets.Names);
        Assert.All(GrpoPresets.Names, name => Assert.Empty(GrpoPresets.Get(name).Validate()));
        Assert.Equal(
            GrpoPresets.Dapo(),
            GrpoPresets.Get("DAPO") with { Sampling = GrpoPresets.Dapo().Sampling, Rewards = GrpoPresets.Dapo().Rewards });
    }

    [Fact]
    public void Get_returns_fresh_options_each_time()
    {
        GrpoPresets.Get("grpo").Sampling.Temperature = 0.5;
        Assert.Equal(1.0, GrpoPresets.Get("grpo").Sampling.Temperature);
    }

    [Fact]
    public void Get_lists_the_presets_when_there_is_none_of_that_name()
    {
        var exception = Assert.Throws<ArgumentException>(() => GrpoPresets.Get("ppo"));
        Assert.StartsWith(
            "There is no preset 'ppo'; the presets are default, grpo, dapo, dr-grpo, gspo, cispo, sapo, rloo, reinforce++, thelmbook.",
            exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Default_is_grpo_with_the_token_mean_and_no_kl()
    {
        var options = new GrpoOptions();
        Assert.Equal((8, 8, 1), (options.GroupSize, options.PromptsPerStep, options.UpdatesPerRollout));
        Assert.Equal(new GroupNormalizedAdvantage(), options.Advantage);
        Assert.Equal(LossReduction.TokenMean, options.Reduction);
        Assert.Equal(new ClippedObjective { Low = 0.2, High = 0.2 }, options.Objective);
        Assert.Equal(0, options.KlCoefficient);
        Assert.Equal((1e-6, 1.0, 0.0), (options.ChooseLearningRate(false).Rate, options.MaxGradientNorm, options.WeightDecay));
        Assert.Equal((1.0, 256), (options.Sampling.Temperature, options.Sampling.MaxCompletionTokens));
        Assert.False(options.Sampling.HasFilters);
    }

    [Fact]
    public void Presets_hold_the_published_values()
    {
        GrpoOptions paper = GrpoPresets.GrpoPaper(), dapo = GrpoPresets.Dapo(), drGrpo = GrpoPresets.DrGrpo(),
            tutorial = GrpoPresets.TheLmBook();
        Assert.Equal(
            (LossReduction.SequenceMean, 0.04, 1e-6), (paper.Reduction, paper.KlCoefficient, paper.ChooseLearningRate(false).Rate));
        Assert.Equal((LossReduction.TokenMean, 0.0, 16), (dapo.Reduction, dapo.KlCoefficient, dapo.GroupSize));
        Assert.Equal(new ClippedObjective { Low = 0.2, High = 0.28 }, dapo.Objective);
        Assert.Equal((LossReduction.FixedLength, 0.0), (drGrpo.Reduction, drGrpo.KlCoefficient));
        Assert.Equal(new MeanCenteredAdvantage(), drGrpo.Advantage);
        Assert.Equal((LossReduction.SequenceMean, 12, 0.04), (tutorial.Reduction, tutorial.GroupSize, tutorial.KlCoefficient));
        Assert.Equal(new ClippedObjective { Low = 0.1, High = 0.1 }, tutorial.Objective);
        Assert.Equal((5e-6, 0.1, 400), (tutorial.LearningRate, tutorial.MaxGradientNorm, tutorial.Sampling.MaxCompletionTokens));
    }

    [Fact]
    public void ToGreedy_turns_off_chance_and_filters_and_keeps_the_limits()
    {
        var sampling =
            new SamplingOptions { Temperature = 0.7, TopK = 5, TopP = 0.9, MinP = 0.1, RepetitionPenalty = 1.2, MaxCompletionTokens = 17 };
        Assert.Equal(new SamplingOptions { Temperature = 0, MaxCompletionTokens = 17 }, sampling.ToGreedy());
        Assert.True(sampling.HasFilters);
        Assert.False(sampling.ToGreedy().HasFilters);
    }
}
