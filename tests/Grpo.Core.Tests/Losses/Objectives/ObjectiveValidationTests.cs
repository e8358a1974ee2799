using System.Globalization;
using Grpo.Losses;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses.Objectives;

public sealed class ObjectiveValidationTests
{
    public static TheoryData<PolicyObjective, string> Refused => new()
    {
        { new ClippedObjective { Low = 1 }, "Low of clipped surrogate is 1 but must be above 0 and below 1." },
        { new ClippedObjective { High = double.NaN }, "High of clipped surrogate is NaN but must be above 0, at most 100." },
        {
            new ClippedObjective { Cap = 1.1 },
            "Cap of clipped surrogate is 1.1 but must be above 1 + High, or null: a lower cap would act before the clip."
        },
        {
            new ClippedObjective { DualClip = 1.2 },
            "DualClip of clipped surrogate is 1.2 but must be above 1 + High, or null: a lower one would act before the clip."
        },
        {
            new ClippedObjective { Cap = 2, DualClip = 3 },
            "DualClip of clipped surrogate is 3 but must be null when Cap is set: both bound the ratio of a negative advantage."
        },
        {
            new CispoObjective { Cap = 0.2 },
            "Cap of CISPO is 0.2 but must be 1 to 1000: it is the largest weight itself, not a distance "
                + "from 1 (that is CispoBandObjective)."
        },
        { new CispoObjective { Level = (RatioLevel)7 }, "Level of CISPO is 7 but must be Token or Sequence." },
        { new CispoBandObjective { Low = 1.5 }, "Low of CISPO (band) is 1.5 but must be above 0, at most 1 (no lower bound)." },
        { new CispoBandObjective { High = 0 }, "High of CISPO (band) is 0 but must be above 0, at most 1000." },
        { new SapoObjective { PositiveTemperature = 0 }, "PositiveTemperature of SAPO is 0 but must be above 0, at most 100." },
        { new SapoObjective { NegativeTemperature = -1 }, "NegativeTemperature of SAPO is -1 but must be above 0, at most 100." },
        { new GspoObjective { Low = 0 }, "Low of GSPO is 0 but must be above 0 and below 1." },
        { new GspoTokenObjective { Cap = 1 },
            "Cap of GSPO-token is 1 but must be above 1 + High, or null: a lower cap would act before the clip." },
        { new GmpoObjective { High = 11 }, "High of GMPO is 11 but must be above 0, at most 10." },
        { new VespoObjective { NegativeK = -0.5 }, "NegativeK of VESPO is -0.5 but must be 0 to 100." },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void Validate_names_the_parameter_its_value_and_what_is_allowed(PolicyObjective objective, string message)
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("de-DE");
            Assert.Equal([message], objective.Validate());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Fact]
    public void Validate_accepts_the_defaults() => Assert.All(
        new PolicyObjective[]
        {
            new ClippedObjective(), new CispoObjective(), new CispoBandObjective(), new SapoObjective(), new GspoObjective(),
            new GspoTokenObjective(), new GmpoObjective(), new VespoObjective(), new ReinforceObjective(),
        },
        objective => Assert.Empty(objective.Validate()));

    [Fact]
    public void RefusalReason_refuses_token_sums_of_a_loss_per_completion()
    {
        PolicyObjective[] perSequence =
            [new GspoObjective(), new GspoTokenObjective(), new GmpoObjective(), new SapoObjective { Level = RatioLevel.Sequence }];
        Assert.All(perSequence, objective =>
        {
            Assert.Equal(
                $"{objective.Name} has one ratio per completion, so TokenMean would count it once per token: the length would become a "
                + "weight unasked. Use SequenceMean, or SequenceSum where that weight is wanted (LUSPO).",
                objective.RefusalReason(LossReduction.TokenMean));
            Assert.NotNull(objective.RefusalReason(LossReduction.FixedLength));
            Assert.Null(objective.RefusalReason(LossReduction.SequenceMean));
            Assert.Null(objective.RefusalReason(LossReduction.SequenceSum));
        });
    }

    [Fact]
    public void RefusalReason_is_null_for_every_reduction_of_a_loss_per_token()
    {
        PolicyObjective[] perToken =
        [
            new ClippedObjective(), new CispoObjective { Level = RatioLevel.Sequence }, new CispoBandObjective(), new SapoObjective(),
            new VespoObjective(), new ReinforceObjective(),
        ];
        Assert.All(
            perToken,
            objective => Assert.All(Enum.GetValues<LossReduction>(), reduction => Assert.Null(objective.RefusalReason(reduction))));
    }

    [Fact]
    public void RefusalReason_agrees_with_Reductions() => Assert.All(
        ObjectiveList.All,
        objective => Assert.All(
            Enum.GetValues<LossReduction>(),
            reduction => Assert.Equal(objective.Reductions.Contains(reduction), objective.RefusalReason(reduction) is null)));

    [Fact]
    public void RefusalReason_lists_what_an_objective_of_the_user_allows() => Assert.Equal(
        "halved is not defined with SequenceMean. Use TokenMean or FixedLength.", new Halved().RefusalReason(LossReduction.SequenceMean));

    [Fact]
    public void Objectives_are_equal_when_their_parameters_are()
    {
        Assert.Equal<PolicyObjective>(new ClippedObjective { High = 0.28 }, new ClippedObjective { High = 0.28 });
        Assert.NotEqual<PolicyObjective>(new ClippedObjective { High = 0.28 }, new ClippedObjective());
        Assert.Equal<PolicyObjective>(new GspoObjective(), new GspoObjective());
    }

    private sealed record Halved : PolicyObjective
    {
        public override string Name => "halved";

        public override IReadOnlySet<LossReduction> Reductions =>
            new HashSet<LossReduction> { LossReduction.FixedLength, LossReduction.TokenMean };

        public override Tensor PerToken(ObjectiveInputs inputs) => inputs.LogProbs * 0.5;
    }
}
