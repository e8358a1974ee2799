namespace Grpo.Rewards.Tests;

/// <summary>The answers that rewards report. Votes compare them character by character.</summary>
public sealed class RewardAnswerTests
{
    [Theory]
    [InlineData("<answer>42</answer>", "42")]
    [InlineData("<answer>42.0</answer>", "42")]
    [InlineData("<answer>$42.00</answer>", "42")]
    [InlineData("<answer>1,080 apples</answer>", "1080")]
    [InlineData("<answer>-0</answer>", "0")]
    [InlineData("<answer>3.5</answer>", "7/2")]
    [InlineData("<answer>14/4</answer>", "7/2")]
    [InlineData("<answer>41</answer>", "41")]             // wrong answers vote too
    [InlineData("42", null)]                              // out of place
    [InlineData("<answer></answer>", null)]
    [InlineData("<answer>4 or 42</answer>", null)]
    [InlineData("<answer>many</answer>", null)]
    [InlineData("<answer>42</answer> and more", null)]
    public void Gsm8kReward_tells_the_number_in_the_asked_format(string text, string? expected) =>
        Assert.Equal(expected, Score(new Gsm8kReward(), text).Answer);

    [Fact]
    public void Gsm8kReward_tells_no_answer_that_the_limit_may_have_cut()
    {
        var reward = new Gsm8kReward(new Gsm8kRewardOptions { Format = AnswerFormat.HashMarks });
        Assert.Null(Score(reward, "#### 42", FinishReason.Truncated).Answer);   // perhaps the beginning of 420
        Assert.Equal("42", Score(reward, "#### 42", FinishReason.EndToken).Answer);
        Assert.Equal("42", Score(reward, "#### 42\n", FinishReason.Truncated).Answer);
    }

    [Theory]
    [InlineData("<answer>42</answer>", "42", "Exact")]
    [InlineData("<answer>42.0</answer>", "42", "NumericallyEqual")]
    [InlineData("<answer> is 42 </answer>", "42", "NumericallyEqual")]
    [InlineData("<answer>-0</answer>", "0", "WrongAnswer")]
    [InlineData("<answer>4 or 42</answer>", "4 or 42", "WrongAnswer")]
    [InlineData("<answer>...</answer>", null, "NoAnswer")]
    [InlineData("42", null, "NoAnswer")]
    public void TheLmBookReward_tells_the_number_or_else_the_text(string text, string? expected, string verdict)
    {
        Reward reward = Score(new TheLmBookReward(), text);
        Assert.Equal((expected, verdict), (reward.Answer, reward.Verdict));
    }

    private static Reward Score(CompletionReward reward, string text, FinishReason finishReason = FinishReason.EndToken) =>
        reward.Score(Prompt.Create("p", "?", "42"), new Completion([1], text, finishReason));
}
