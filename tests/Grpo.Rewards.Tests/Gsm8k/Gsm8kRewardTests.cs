namespace Grpo.Rewards.Tests;

public sealed class Gsm8kRewardTests
{
    private static readonly Prompt Forty2 = Prompt.Create("p1", "How many?", "42");

    [Fact]
    public void Score_pays_one_for_correct_and_labels_it()
    {
        Reward reward = new Gsm8kReward().Score(Forty2, Says("<answer>42</answer>"));

        Assert.Equal(1.0, reward.Value);
        Assert.Equal("Correct", reward.Verdict);
        Assert.True(reward.IsCorrect);
        Assert.Equal(1.0, reward.Components!["strict"]);
        Assert.Equal(1.0, reward.Components["lenient"]);
    }

    [Fact]
    public void Score_shows_where_strict_and_lenient_differ()
    {
        Reward reward = new Gsm8kReward().Score(Forty2, Says("The answer is 42"));

        Assert.Equal(0.0, reward.Value);
        Assert.Equal("OutsideTag", reward.Verdict);
        Assert.False(reward.IsCorrect);
        Assert.Equal(0.0, reward.Components!["strict"]);
        Assert.Equal(1.0, reward.Components["lenient"]);
    }

    [Fact]
    public void Score_pays_by_the_map_and_abstains_on_null()
    {
        var reward = new Gsm8kReward(new Gsm8kRewardOptions
        {
            Values = new Dictionary<Gsm8kVerdict, double?>
            {
                [Gsm8kVerdict.Correct] = 2,
                [Gsm8kVerdict.WrongNumber] = 0.1,
                [Gsm8kVerdict.Truncated] = null,
            },
        });

        Assert.Equal(2, reward.Score(Forty2, Says("<answer>42</answer>")).Value);
        Assert.Equal(0.1, reward.Score(Forty2, Says("<answer>41</answer>")).Value);
        Assert.Equal(0, reward.Score(Forty2, Says("<answer>?</answer>")).Value);
        Assert.Null(reward.Score(Forty2, new Completion([1], "<answer>4", FinishReason.Truncated)).Value);
    }

    [Fact]
    public void Score_reads_the_configured_format()
    {
        var reward = new Gsm8kReward(new Gsm8kRewardOptions { Format = AnswerFormat.HashMarks });

        Assert.Equal("Correct", reward.Score(Forty2, Says("#### 42")).Verdict);
        Assert.Equal("OutsideTag", reward.Score(Forty2, Says("<answer>42</answer>")).Verdict);
    }

    [Fact]
    public void Constructor_refuses_unknown_formats_and_values_that_are_no_numbers()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new Gsm8kReward(new Gsm8kRewardOptions { Format = (AnswerFormat)7 }));
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => new Gsm8kReward(new Gsm8kRewardOptions
        {
            Values = new Dictionary<Gsm8kVerdict, double?> { [Gsm8kVerdict.Correct] = double.NaN },
        }));
        Assert.Contains(
            "Gsm8kRewardOptions.Values[Correct] must be a known verdict and a finite number or null.", error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Score_names_the_prompt_that_has_no_gold_answer()
    {
        var error = Assert.Throws<ArgumentException>(() => new Gsm8kReward().Score(Prompt.Create("p9", "q"), Says("1")));
        Assert.StartsWith("Prompt 'p9' has no Answer to compare with.", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<reasoning>\n40 + 2\n</reasoning>\n<answer>\n42\n</answer>", "42", 2.0, 0.8, "Exact")]
    [InlineData("<reasoning>\n40 + 2\n</reasoning>\n<answer>\n$42.00\n</answer>", "42", 1.5, 0.8, "NumericallyEqual")]
    [InlineData("<answer>41</answer>", "42", 0.0, 0.4, "WrongAnswer")]
    [InlineData("<answer>...</answer>", "42", 0.0, 0.4, "NoAnswer")]
    [InlineData("42", "42", 0.0, 0.0, "NoAnswer")]
    [InlineData("<answer>42", "42", 0.0, 0.2, "NoAnswer")]
    // The tutorial's weaknesses, which a faithful copy has too
    [InlineData("<answer>41</answer><answer>42</answer>", "42", 2.0, 0.4, "Exact")]
    [InlineData("<answer>1080</answer>", "1,080", 0.0, 0.4, "WrongAnswer")]
    [InlineData("</answer></reasoning><answer><reasoning>", "42", 0.0, 0.8, "NoAnswer")]
    [InlineData("<answer>41 42</answer>", "42", 0.0, 0.4, "WrongAnswer")]
    [InlineData("<answer>2x42</answer>", "42", 0.0, 0.4, "WrongAnswer")]
    [InlineData("<answer>x42</answer>", "42", 1.5, 0.4, "NumericallyEqual")]
    public void TheLmBookReward_scores_like_the_tutorial(string text, string gold, double correctness, double format, string verdict)
    {
        Reward reward = new TheLmBookReward().Score(Prompt.Create("p", "q", gold), Says(text));

        Assert.Equal(correctness + format, reward.Value!.Value, 12);
        Assert.Equal(correctness, reward.Components!["correctness"]);
        Assert.Equal(format, reward.Components["format"]!.Value, 12);
        Assert.Equal(verdict, reward.Verdict);
        Assert.Equal(correctness > 0, reward.IsCorrect);
    }

    [Theory]
    [InlineData("<reasoning>\n40 + 2\n</reasoning>\n<answer>\n42\n</answer>", 1)]
    [InlineData(" <reasoning>a</reasoning><answer>b</answer>\n", 1)]
    [InlineData("<answer>42</answer>", 0)]
    [InlineData("<answer>42</answer><reasoning>a</reasoning>", 0)]
    [InlineData("Sure: <reasoning>a</reasoning><answer>42</answer>", 0)]
    [InlineData("<reasoning>a</reasoning> so <answer>42</answer>", 0)]
    [InlineData("<reasoning>a</reasoning><answer>42</answer> done", 0)]
    [InlineData("<reasoning>a</reasoning><answer>42</answer><answer>42</answer>", 0)]
    [InlineData("<reasoning><reasoning>a</reasoning><answer>42</answer>", 0)]
    [InlineData("<reasoning>a<answer>1</answer></reasoning><answer>42</answer>", 0)]
    [InlineData("<reasoning></reasoning><answer></answer>", 0)]
    [InlineData("<reasoning>...</reasoning><answer>...</answer>", 0)]
    [InlineData("<reasoning>a</reasoning><answer>42", 0)]
    [InlineData("</answer></reasoning><answer><reasoning>", 0)]
    [InlineData("", 0)]
    public void FormatReward_pays_for_the_exact_structure_only(string text, double expected) =>
        Assert.Equal(expected, new FormatReward().Score(Forty2, Says(text)).Value);

    [Theory]
    [InlineData(0, 0)]
    [InlineData(60, 0)]
    [InlineData(61, -0.025)]       // (60 − 61) / 40
    [InlineData(80, -0.5)]         // (60 − 80) / 40
    [InlineData(100, -1)]
    [InlineData(101, -1)]
    [InlineData(5000, -1)]
    public void LengthPenaltyReward_falls_over_the_buffer_and_stays_at_minus_one(int tokens, double expected)
    {
        double value = new LengthPenaltyReward(maxTokens: 100, bufferTokens: 40)
            .Score(Forty2, new Completion(new int[tokens], "", FinishReason.EndToken)).Value!.Value;

        Assert.Equal(expected, value, 15);
        Assert.False(value == 0 && double.IsNegative(value));
    }

    [Fact]
    public void LengthPenaltyReward_refuses_a_buffer_beyond_the_limit()
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => new LengthPenaltyReward(100, 101));
        Assert.StartsWith("bufferTokens must be 1 to maxTokens, which is 100.", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new LengthPenaltyReward(100, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new LengthPenaltyReward(0, 1));
    }

    private static Completion Says(string text) => new([1, 2, 3], text, FinishReason.EndToken);
}
