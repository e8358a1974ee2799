using System.ComponentModel;
using System.Globalization;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses;

public sealed class MethodConverterTests
{
    private static readonly TypeConverter Objectives = TypeDescriptor.GetConverter(typeof(PolicyObjective));
    private static readonly TypeConverter Advantages = TypeDescriptor.GetConverter(typeof(AdvantageFunction));

    public static TheoryData<string, PolicyObjective> Written => new()
    {
        { "clipped", new ClippedObjective() },
        { "Clipped(Low=0.1, high = 0.28)", new ClippedObjective { Low = 0.1, High = 0.28 } },
        { "clipped(Cap=1.5)", new ClippedObjective { Cap = 1.5 } },
        { "cispo(Cap=3,Level=Sequence)", new CispoObjective { Cap = 3, Level = RatioLevel.Sequence } },
        { "cispo-band()", new CispoBandObjective() },
        { "gspo-token", new GspoTokenObjective() },
        { " reinforce ", new ReinforceObjective() },
    };

    [Theory]
    [MemberData(nameof(Written))]
    public void ConvertFrom_reads_name_and_parameters(string text, PolicyObjective expected) =>
        Assert.Equal(expected, Objectives.ConvertFromInvariantString(text));

    [Fact]
    public void ConvertTo_writes_what_ConvertFrom_reads_in_any_culture()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE"); // writes 0,28
            var objective = new ClippedObjective { High = 0.28 };
            string text = Objectives.ConvertToString(objective)!;
            Assert.Equal("clipped(Low=0.2, High=0.28)", text);
            Assert.Equal(objective, Objectives.ConvertFromString(text));
            Assert.Equal("mean-centered", Advantages.ConvertToString(new MeanCenteredAdvantage()));
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [InlineData("ppo", "'ppo' is no objective; write one of clipped, cispo, cispo-band, sapo, gspo, gspo-token, gmpo, vespo, reinforce")]
    [InlineData("", "'' is no objective; write one of clipped,")]
    [InlineData("clipped(Low=0.2", "is no objective; write one of clipped,")]
    [InlineData("clipped(Lo=0.2)", "'Lo=0.2' is no parameter of clipped; it has Low, High, Cap, DualClip, written Parameter=value.")]
    [InlineData("clipped(Low)", "'Low' is no parameter of clipped;")]
    [InlineData("clipped(Low=wide)", "'wide' is no value for clipped's Low (Double).")]
    public void ConvertFrom_says_what_is_allowed(string text, string message) =>
        Assert.Contains(
            message, Assert.Throws<FormatException>(() => Objectives.ConvertFromInvariantString(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void ConvertFrom_reads_every_advantage_function_by_its_own_name() =>
        Assert.All(
            ["group-normalized", "mean-centered", "batch-normalized", "leave-one-out", "length-weighted", "per-reward-normalized",
                "reinforce-plus-plus", "pass-at-k"],
            name => Assert.StartsWith(
                name, Advantages.ConvertToInvariantString(Advantages.ConvertFromInvariantString(name)), StringComparison.Ordinal));
}
