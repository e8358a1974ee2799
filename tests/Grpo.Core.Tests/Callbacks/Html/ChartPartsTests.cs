using CsCheck;
using Grpo.Callbacks;

namespace Grpo.Core.Tests.Callbacks;

public sealed class ChartPartsTests
{
    [Fact]
    public void Series_keeps_every_step_apart_while_there_is_room()
    {
        var series = new Series();
        series.Add(5, 1);
        series.Add(6, null);
        series.Add(7, double.NaN);
        series.Add(8, -3);

        Assert.Equal([5, 6, 7, 8], series.Buckets.Select(bucket => bucket.FirstStep));
        Assert.Equal([1, double.NaN, double.NaN, -3], series.Buckets.Select(bucket => bucket.Mean));
        Assert.False(series.IsJoined);
        Assert.Equal((1, -3), (series.First, series.Last));
    }

    [Fact]
    public void Series_joins_neighbors_and_loses_no_step_when_there_is_no_room()
    {
        var series = new Series();
        for (int step = 1; step <= 801; step++)
        {
            series.Add(step, step % 10 == 0 ? null : step);
        }

        Assert.Equal(201, series.Buckets.Count); // 801 steps of 4 to a bucket
        Assert.Equal(801, series.Buckets.Sum(bucket => bucket.Steps));
        Assert.Equal(721, series.Buckets.Sum(bucket => bucket.Count)); // 80 tens are missing
        Bucket third = series.Buckets[2]; // 9, 11 and 12: 10 is missing
        Assert.Equal((9, 12, 32.0 / 3, 9, 12, "9 to 12"), (third.FirstStep, third.LastStep, third.Mean, third.Min, third.Max, third.Label));
        Assert.Equal("801", series.Buckets[^1].Label);
    }

    [Theory]
    [InlineData(0.12, 0.93, true, new[] { 0, 0.5, 1 })]
    [InlineData(0.12, 0.78, true, new[] { 0, 0.2, 0.4, 0.6, 0.8 })]
    [InlineData(100, 190, false, new[] { 100.0, 150, 200 })]
    [InlineData(-2.1, 3, true, new[] { -4.0, -2, 0, 2, 4 })]
    [InlineData(0, 0, true, new[] { 0, 0.5, 1 })]
    [InlineData(7, 7, false, new[] { 6, 6.5, 7, 7.5, 8 })]
    public void Axis_has_round_ticks_around_the_values(double low, double high, bool withZero, double[] expected)
    {
        var axis = Axis.FromValues([low, double.NaN, high], withZero);

        Assert.Equal(expected, axis.Ticks.Select(tick => Math.Round(tick, 9)));
        Assert.Equal((0, 1), (axis.Position(axis.Low), axis.Position(axis.High)));
    }

    [Fact]
    public void Axis_is_finite_and_short_for_any_values()
    {
        Gen.Select(Gen.Double[-1e100, 1e100], Gen.Double[-1e100, 1e100], Gen.Bool).Sample((a, b, withZero) =>
        {
            var axis = Axis.FromValues([a, b], withZero);
            Assert.InRange(axis.Ticks.Count, 2, 9);
            Assert.All(new[] { a, b }, value => Assert.InRange(axis.Position(value), 0, 1));
            Assert.True(axis.Low <= Math.Min(a, b) + (1e-6 * Math.Abs(a - b)) && axis.High >= Math.Max(a, b) - (1e-6 * Math.Abs(a - b)));
        });
    }

    [Theory]
    [InlineData(1, 1, new[] { 1.0 })]
    [InlineData(1, 2, new[] { 1.0, 2 })]
    [InlineData(1, 50, new[] { 10.0, 20, 30, 40, 50 })]
    [InlineData(0.5, 6.5, new[] { 2.0, 4, 6 })]
    public void Axis_of_steps_has_whole_ticks(double low, double high, double[] expected) =>
        Assert.Equal(expected, Axis.FromSteps(low, high).Ticks);

    [Fact]
    public void Writer_encodes_every_hole_and_refuses_coordinates_that_are_not_finite()
    {
        var page = new HtmlWriter();
        page.Write($"""<p class="{"\"x"}">{"<b>"}{-1234567L}|{1.0 / 3}</p>""");

        Assert.Equal("""<p class="&quot;x">&lt;b&gt;-1234567|0.33</p>""", page.ToString());
        Assert.Throws<ArgumentException>(() => page.Write($"{double.NaN}"));
    }

    [Theory]
    [InlineData(null, "–")]
    [InlineData(double.NaN, "–")]
    [InlineData(0.0, "0")]
    [InlineData(0.12345, "0.123")]
    [InlineData(0.00001234, "1.23e-5")]
    [InlineData(123.456, "123.5")]
    [InlineData(1234567.8, "1,234,568")]
    [InlineData(1e100, "1e100")]
    public void Show_is_short(double? value, string expected) => Assert.Equal(expected, Numbers.Show(value));
}
