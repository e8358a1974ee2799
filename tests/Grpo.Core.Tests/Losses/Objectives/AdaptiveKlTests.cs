using Grpo.Core.Tests.Golden;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Objectives;

public sealed class AdaptiveKlTests
{
    private static readonly AdaptiveKl Controller = new() { Target = 0.05 };

    [Theory]
    [InlineData(0.05, 0.04)]               // on target
    [InlineData(0.055, 0.04 * 1.01)]       // 10 % above: +1 %
    [InlineData(0.045, 0.04 * 0.99)]
    [InlineData(5, 0.04 * 1.02)]           // the error counts as 20 %
    [InlineData(-3, 0.04 * 0.98)]          // an estimate may be negative
    public void Next_moves_the_coefficient_by_the_bounded_error(double kl, double expected) =>
        Near.Equal(expected, Controller.Next(0.04, kl), 1e-15, "β");

    [Fact]
    public void Next_settles_where_the_divergence_meets_the_target()
    {
        // A plant whose divergence falls as 0.01/β: the fixed point is β = 0.2.
        double coefficient = 0.04;
        for (int step = 0; step < 2000; step++)
        {
            coefficient = Controller.Next(coefficient, 0.01 / coefficient);
        }

        Near.Equal(0.2, coefficient, 1e-9, "β");
    }

    [Theory]
    [InlineData(0.0, 0.1)]
    [InlineData(-1.0, 0.1)]
    [InlineData(double.NaN, 0.1)]
    [InlineData(double.PositiveInfinity, 0.1)]
    [InlineData(0.04, double.NaN)]
    [InlineData(0.04, double.PositiveInfinity)]
    public void Next_refuses_what_it_cannot_follow(double coefficient, double kl) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Controller.Next(coefficient, kl));

    [Fact]
    public void Validate_names_what_is_out_of_range() => Assert.Equal(
        [
            "Target of AdaptiveKl is 0 but must be above 0 and finite.",
            "Gain of AdaptiveKl is NaN but must be above 0, at most 1.",
            "MaxError of AdaptiveKl is 2 but must be above 0, at most 1.",
        ],
        new AdaptiveKl { Target = 0, Gain = double.NaN, MaxError = 2 }.Validate());

    [Fact]
    public void Validate_accepts_the_defaults() => Assert.Empty(Controller.Validate());
}
