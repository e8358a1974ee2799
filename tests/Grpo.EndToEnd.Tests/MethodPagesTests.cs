using System.ComponentModel;
using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.Losses;
using Grpo.Snippets;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>Holds docs/algorithm.md and docs/variants.md against the library: numbers, names of methods, presets, refusals.</summary>
public sealed partial class MethodPagesTests
{
    [Fact]
    public void The_worked_example_has_the_gradients_that_the_page_prints()
    {
        float[] gradient = WorkedExample.LossAndGradient(LossReduction.TokenMean).Gradient;

        // −A·w / 6 of each token; two of them are clipped.
        Assert.Equal([0, -0.24995, 0, 0.08332, 0.08332, 0.08332], gradient.Select(number => Math.Round(number, 5)));
    }

    [Fact]
    public void Other_rewards_and_baselines_give_the_advantages_that_the_page_prints()
    {
        var shifted = new AdvantageGroup(Rewards: [11, 10, 10, 10], Lengths: [2, 1, 2, 1]);
        var scaled = new AdvantageGroup(Rewards: [100, 0, 0, 0], Lengths: [2, 1, 2, 1]);
        var plain = new AdvantageGroup(Rewards: [1, 0, 0, 0], Lengths: [2, 1, 2, 1]);

        Assert.Equal(WorkedExample.Advantages(), new GroupNormalizedAdvantage().Compute([shifted])[0]);
        Assert.Equal(1.499997, new GroupNormalizedAdvantage().Compute([scaled])[0][0], tolerance: 5e-7);
        Assert.Equal(
            [1, -0.3333, -0.3333, -0.3333], new LeaveOneOutAdvantage().Compute([plain])[0].Select(advantage => Math.Round(advantage, 4)));
    }

    [Fact]
    public void Every_method_in_the_tables_is_one_that_the_options_read()
    {
        string[][] objectives = [.. Table("## Objectives")];
        string[][] advantages = [.. Table("## Advantages")];

        Assert.Equal(
            ["clipped", "cispo", "cispo-band", "sapo", "gspo", "gspo-token", "gmpo", "vespo", "reinforce"],
            objectives.Select(row => Code(row[2]).Split('(')[0]).Distinct());
        Assert.All(objectives, row => Assert.Empty(Convert<PolicyObjective>(Code(row[2])).Validate()));
        Assert.Equal(
            ["group-normalized", "mean-centered", "batch-normalized", "leave-one-out", "length-weighted", "per-reward-normalized",
                "reinforce-plus-plus", "pass-at-k"],
            advantages.Select(row => Code(row[2])));
        Assert.All(advantages, row => Assert.Empty(Convert<AdvantageFunction>(Code(row[2])).Validate()));
        Assert.Equal(Enum.GetNames<LossReduction>().Order(), Table("## Reductions").Select(row => Code(row[2])).Order());
        Assert.Equal(Enum.GetNames<KlEstimator>().Order(), Table("## KL term").Select(row => Code(row[0])).Order());
    }

    [Fact]
    public void The_presets_set_what_the_table_says()
    {
        string[][] rows = [.. Table("## Presets")];

        Assert.Equal(GrpoPresets.Names, rows.Select(row => Code(row[0])));
        Assert.All(rows, row =>
        {
            GrpoOptions options = GrpoPresets.Get(Code(row[0]));
            Assert.Equal(options.Objective, Convert<PolicyObjective>(Code(row[1])));
            Assert.Equal(options.Advantage, Convert<AdvantageFunction>(Code(row[2])));
            Assert.Equal(options.Reduction.ToString(), Code(row[3]));
            string[] kl = row[4].Split(", ");
            Assert.Equal(options.KlCoefficient, double.Parse(kl[0], CultureInfo.InvariantCulture));
            Assert.Equal(options.KlCoefficient == 0 ? [] : new[] { options.KlEstimator.ToString() }, kl.Skip(1).Select(Code));
        });
    }

    [Fact]
    public void Every_test_that_guards_against_a_trap_exists()
    {
        string[] sources = [.. Directory.EnumerateFiles(
            Path.Combine(SharedData.RepositoryRoot, "tests"), "*.cs", SearchOption.AllDirectories)];
        string[] guards = [.. Table("## Where implementations go wrong", "docs/algorithm.md")
            .SelectMany(row => CodeSpan().Matches(row[2]).Select(match => match.Groups["code"].Value))];
        Assert.True(guards.Length > 20);
        Assert.All(guards, guard =>
        {
            string[] parts = guard.Split('.');
            string source = File.ReadAllText(Assert.Single(sources, file => Path.GetFileName(file) == parts[0] + ".cs"));
            Assert.Contains(parts.Length == 1 ? $"class {parts[0]}" : $" {parts[1]}(", source, StringComparison.Ordinal);
        });
    }

    [Theory]
    [InlineData("README.md")]
    [InlineData("docs/gsm8k.md")]
    public void Every_preset_is_named(string page) => Assert.All(
        GrpoPresets.Names, name => Assert.Contains($"`{name}`", Read(page), StringComparison.Ordinal));

    [Fact]
    public void A_combination_is_refused_in_the_words_of_the_page() =>
        Assert.Contains(Assert.Single(Methods.Refused()), Read("docs/variants.md").ReplaceLineEndings(" "), StringComparison.Ordinal);

    [Fact]
    public void The_composed_options_are_those_that_the_command_line_of_the_page_sets()
    {
        GrpoOptions options = Methods.Composed();
        string page = Read("docs/variants.md");

        Assert.Contains(
            $"--objective \"{TypeDescriptor.GetConverter(typeof(PolicyObjective)).ConvertToInvariantString(options.Objective)}\" " +
            $"--advantage {TypeDescriptor.GetConverter(typeof(AdvantageFunction)).ConvertToInvariantString(options.Advantage)} --reduction "
            + $"{options.Reduction}",
            page, StringComparison.Ordinal);
        Assert.Contains(
            string.Create(CultureInfo.InvariantCulture, $"--kl-coefficient {options.KlCoefficient} --kl-estimator {options.KlEstimator}"),
            page, StringComparison.Ordinal);
        Assert.Empty(options.Validate());
        Assert.Empty(Methods.FromPreset().Validate());
    }

    private static string Read(string page) => File.ReadAllText(Path.Combine(SharedData.RepositoryRoot, page));

    private static T Convert<T>(string text) => (T)TypeDescriptor.GetConverter(typeof(T)).ConvertFromInvariantString(text)!;

    private static string Code(string cell) => CodeSpan().Match(cell).Groups["code"].Value;

    // The rows of the first table below a heading, as cells.
    private static IEnumerable<string[]> Table(string heading, string page = "docs/variants.md") => Read(page).Split('\n')
        .SkipWhile(line => line != heading).SkipWhile(line => !line.StartsWith('|')).Skip(2).TakeWhile(line => line.StartsWith('|'))
        .Select(line => line.Trim().Trim('|').Split('|', StringSplitOptions.TrimEntries));

    [GeneratedRegex("`(?<code>[^`]+)`", RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex CodeSpan();
}
