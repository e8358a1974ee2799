using Grpo.Rewards.Answers;
using static Grpo.Rewards.AnswerFormat;
using static Grpo.Rewards.Gsm8kVerdict;

namespace Grpo.Rewards.Tests;

/// <summary>Text in a think block is no answer, in any format.</summary>
public sealed class ThinkBlockAnswerTests
{
    public static TheoryData<string, AnswerFormat, Gsm8kVerdict> Texts => new()
    {
        { @"<think>perhaps \boxed{3}</think> \boxed{42}", Boxed, Correct },
        { @"<think>perhaps \boxed{42}</think> \boxed{3}", Boxed, WrongNumber },
        { @"<think>so \boxed{42}</think>", Boxed, NoAnswer },
        { @"<think>so \boxed{42}", Boxed, NoAnswer },                              // never closed
        { @"perhaps \boxed{3}</think>\boxed{42}", Boxed, Correct },               // the prompt opened it
        { "<think><answer>3</answer></think><answer>42</answer>", TagAnswer, Correct },
        { "<think><answer>42</answer>", TagAnswer, NoAnswer },
        { "<answer>42</answer><think>", TagAnswer, Correct },
        { "<think>\n#### 3\n</think>\n#### 42", HashMarks, Correct },
        { "<think>\n#### 42", HashMarks, NoAnswer },
        { "<think>42</think> It is 3.", LastNumber, WrongNumber },
        { "It is 42. <think>or 3", LastNumber, Correct },
        { "<think>42", LastNumber, NoAnswer },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Judge_leaves_think_blocks_out(string text, AnswerFormat format, Gsm8kVerdict verdict) =>
        Assert.Equal(verdict, Gsm8kAnswer.Judge(text, "42", format));

    [Theory]
    [InlineData("<think>40 + 2")]
    [InlineData("<think>40 + 2 <answer>42</answer>")]
    public void Judge_calls_thoughts_that_were_cut_truncated(string text) =>
        Assert.Equal(Truncated, Gsm8kAnswer.Judge(text, "42", TagAnswer, FinishReason.Truncated));

    // The prompt ended with "<think>", and the thoughts never ended.
    [Fact]
    public void Rewards_know_that_the_prompt_opened_the_block()
    {
        var prompt = Prompt.Create("p", "40 + 2?", answer: "42");
        const string Text = "<reasoning>40 + 2</reasoning><answer>42</answer>";
        var thoughts = new Completion([1], Text, FinishReason.EndToken) { StartsInThinkBlock = true };
        Completion closed = thoughts with { Text = "1 + 1 = 3</think>" + Text };
        Assert.Equal(0, new Gsm8kReward().Score(prompt, thoughts).Value);
        Assert.Equal(1, new Gsm8kReward().Score(prompt, closed).Value);
        Assert.Equal(0, new FormatReward().Score(prompt, thoughts).Value);
        Assert.Equal(1, new FormatReward().Score(prompt, closed).Value);
        Assert.Equal(0, new TheLmBookReward().Score(prompt, thoughts).Value);
        Assert.Equal(2.8, new TheLmBookReward().Score(prompt, closed).Value!.Value, 12);
    }
}
