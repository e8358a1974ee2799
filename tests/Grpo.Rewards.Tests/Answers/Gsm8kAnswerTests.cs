using Grpo.Rewards.Answers;
using static Grpo.Rewards.AnswerFormat;
using static Grpo.Rewards.Gsm8kVerdict;

namespace Grpo.Rewards.Tests;

public sealed class Gsm8kAnswerTests
{
    private const string ThinkThen = "<reasoning>40 + 2</reasoning>\n";

    public static TheoryData<string, string, AnswerFormat, Gsm8kVerdict> Specified => new()
    {
        { "<answer>42</answer>", "42", TagAnswer, Correct },
        { "<answer>\n 42 \n</answer>", "42", TagAnswer, Correct },
        { "<answer>42.</answer>", "42", TagAnswer, Correct },
        { "#### 42.00", "42", HashMarks, Correct },
        { "<answer>1,080</answer>", "1,080", TagAnswer, Correct },
        { "<answer>$1,080.00</answer>", "1,080", TagAnswer, Correct },
        { "<answer>109200000</answer>", "109,200,000", TagAnswer, Correct },
        { "<answer>1 080</answer>", "1,080", TagAnswer, Correct },
        { "<answer>1\u202F080</answer>", "1,080", TagAnswer, Correct },
        { "<answer>1\u00A0080</answer>", "1,080", TagAnswer, Correct },
        { "<answer>1\u2009080</answer>", "1,080", TagAnswer, Correct },
        { "<answer>10,80</answer>", "1080", TagAnswer, Unparseable },
        { "<answer>1.080</answer>", "1,080", TagAnswer, WrongNumber },
        { "<answer>$42</answer>", "42", TagAnswer, Correct },
        { "<answer>€42</answer>", "42", TagAnswer, Correct },
        { @"<answer>\$42</answer>", "42", TagAnswer, Correct },
        { "<answer>$-7</answer>", "-7", TagAnswer, Correct },
        { "<answer>42%</answer>", "42", TagAnswer, Correct },
        { "<answer>0.42</answer>", "42", TagAnswer, WrongNumber },
        { "<answer>42 apples</answer>", "42", TagAnswer, Correct },
        { "<answer>42 apples and 3 pears</answer>", "42", TagAnswer, MultipleAnswers },
        { "<answer>12:30</answer>", "12", TagAnswer, MultipleAnswers },
        { "<answer>40 + 2 = 42</answer>", "42", TagAnswer, Correct },
        { "<answer>x = 42</answer>", "42", TagAnswer, Correct },
        { "<answer>84/2</answer>", "42", TagAnswer, Correct },
        { "<answer>3 1/2</answer>", "3.5", TagAnswer, Correct },
        { "<answer>\u22127</answer>", "-7", TagAnswer, Correct },
        { "<answer>- 7</answer>", "-7", TagAnswer, Correct },
        { "<answer>7</answer>", "-7", TagAnswer, WrongNumber },
        { "<answer>(7)</answer>", "-7", TagAnswer, Unparseable },
        { "<answer>042</answer>", "42", TagAnswer, Correct },
        { "<answer>+42</answer>", "42", TagAnswer, Correct },
        { "<answer>.5</answer>", "0.5", TagAnswer, Correct },
        { "<answer>4.2e1</answer>", "42", TagAnswer, Correct },
        { "<answer>４２</answer>", "42", TagAnswer, Correct },
        { @"\boxed{1,080}", "1,080", Boxed, Correct },
        { @"\boxed{1,080}", "1,080", TagAnswer, OutsideTag },
        { @"\boxed{42", "42", Boxed, OutsideTag },
        { "####42", "42", HashMarks, Correct },
        { "#### $42", "42", HashMarks, Correct },
        { "#### **42**", "42", HashMarks, Correct },
        { "#### 42", "42", TagAnswer, OutsideTag },
        { "<answer>...</answer>", "42", TagAnswer, Unparseable },
        { "<answer>nan</answer>", "42", TagAnswer, Unparseable },
        { "<answer>1e999</answer>", "42", TagAnswer, Unparseable },
        { "<answer>42", "42", TagAnswer, OutsideTag },
        { "The answer is 42", "42", TagAnswer, OutsideTag },
        { "<answer>43</answer><answer>42</answer>", "42", TagAnswer, MultipleAnswers },
        { "<answer>42</answer><answer>42</answer><answer>42</answer><answer>42</answer>", "42", TagAnswer, MultipleAnswers },
        { "<answer>42 42 42</answer>", "42", TagAnswer, MultipleAnswers },
        { "<answer>41 42 43</answer>", "42", TagAnswer, MultipleAnswers },
        { "<answer>between 41 and 42</answer>", "42", TagAnswer, MultipleAnswers },
        { "<answer>42</answer> Human: next? <answer>13</answer>", "42", TagAnswer, MultipleAnswers },
        { "<reasoning>maybe <answer>41</answer></reasoning><answer>42</answer>", "42", TagAnswer, MultipleAnswers },
        { "</answer></reasoning><answer><reasoning>", "42", TagAnswer, NoAnswer },
        { "42 42 42 42 42 42 42 42 42 42 42 42 42 42 42 42 42 42 42 42 42", "42", TagAnswer, OutsideTag },
    };

    [Theory]
    [MemberData(nameof(Specified))]
    public void Judge_gives_the_specified_verdict_in_every_culture(string text, string gold, AnswerFormat format, Gsm8kVerdict expected)
    {
        foreach (string culture in CultureScope.Names)
        {
            using var scope = new CultureScope(culture);
            Assert.Equal((culture, expected), (culture, Gsm8kAnswer.Judge(text, gold, format)));
        }
    }

    [Theory]
    [InlineData(ThinkThen + "<answer>42</answer>", Correct)]
    [InlineData("Sure. " + ThinkThen + "So: <answer>42</answer>\n\n", Correct)]
    [InlineData("<reasoning>a</reasoning><reasoning>b</reasoning><answer>42</answer>", Correct)]
    [InlineData("<answer>42</answer>.", TrailingText)]
    [InlineData("<answer>42</answer><|im_end|>", TrailingText)]
    [InlineData("<answer>42</answer> Human: next?", TrailingText)]
    [InlineData("<answer>42</answer><answ", TrailingText)]
    [InlineData("<answer>42</answer><reasoning>because</reasoning>", TrailingText)]
    [InlineData("<reasoning>so <answer>42</answer></reasoning>", OutsideTag)]
    [InlineData("<reasoning>so <answer>42</answer>", OutsideTag)]
    [InlineData("</reasoning><reasoning><answer>42</answer>", OutsideTag)]
    [InlineData("<reasoning><reasoning>so</reasoning><answer>42</answer>", OutsideTag)]
    [InlineData("<answer><answer>42</answer></answer>", MultipleAnswers)]
    [InlineData("<answer><reasoning>42</reasoning></answer>", Unparseable)]
    [InlineData("<answer></answer>", NoAnswer)]
    [InlineData("<answer> \n </answer>", NoAnswer)]
    [InlineData("<Answer>41</Answer>", NoAnswer)]
    [InlineData("The answer is 41", NoAnswer)]
    [InlineData("", NoAnswer)]
    public void Judge_wants_one_answer_tag_after_the_reasoning(string text, Gsm8kVerdict expected) =>
        Assert.Equal(expected, Gsm8kAnswer.Judge(text, "42"));

    [Theory]
    [InlineData("Half of 84.\n#### 42\n", Correct)]
    [InlineData("### Steps\n84 / 2\n#### 42 apples", Correct)]
    [InlineData("#### 41\n#### 42", MultipleAnswers)]
    [InlineData("#### 41 #### 42", MultipleAnswers)]
    [InlineData("#### 42\nHuman: and now?", TrailingText)]
    [InlineData("####\n42", TrailingText)]
    [InlineData("####", NoAnswer)]
    [InlineData("##### 42", OutsideTag)]
    [InlineData("#", NoAnswer)]
    public void Judge_wants_one_line_of_hash_marks(string text, Gsm8kVerdict expected) =>
        Assert.Equal(expected, Gsm8kAnswer.Judge(text, "42", HashMarks));

    [Theory]
    [InlineData(@"So $\boxed{42}$.", Correct)]
    [InlineData(@"So \(\boxed{42}\).", Correct)]
    [InlineData(@"She sold \boxed{42} clips.", Correct)]
    [InlineData(@"\boxed{42\text{ clips}}", Correct)]
    [InlineData(@"\boxed{\text{42}}", Correct)]
    [InlineData(@"\boxed{41} \boxed{42}", MultipleAnswers)]
    [InlineData(@"\boxed{42} Human: next?", TrailingText)]
    [InlineData(@"\boxed{42} or 43", TrailingText)]
    [InlineData(@"\boxed{}", NoAnswer)]
    [InlineData("42", OutsideTag)]
    public void Judge_wants_one_box(string text, Gsm8kVerdict expected) =>
        Assert.Equal(expected, Gsm8kAnswer.Judge(text, "42", Boxed));

    [Theory]
    [InlineData("40 + 2 = $42.00.", "42", Correct)]
    [InlineData("43, no: ４２", "42", Correct)]
    [InlineData("It fell to -$7 in all", "-7", Correct)]
    [InlineData("It fell to $\u22127", "-7", Correct)]
    [InlineData("50-8", "8", Correct)]
    [InlineData("x=.5", "0.5", WrongNumber)]
    [InlineData("about .5", "0.5", Correct)]
    [InlineData("so 1,080!", "1080", Correct)]
    [InlineData("42 and then 43", "42", WrongNumber)]
    [InlineData("forty-two", "42", NoAnswer)]
    public void Judge_takes_the_last_number_when_lenient(string text, string gold, Gsm8kVerdict expected) =>
        Assert.Equal(expected, Gsm8kAnswer.Judge(text, gold, LastNumber));

    [Theory]
    [InlineData("<reasoning>we have 48", TagAnswer, Truncated)]
    [InlineData("<answer>42", TagAnswer, Truncated)]
    [InlineData("<answer>42</answer>", TagAnswer, Correct)]
    [InlineData("<answer>41</answer>", TagAnswer, WrongNumber)]
    [InlineData("<answer>42</answer> Human: next", TagAnswer, TrailingText)]
    [InlineData("<answer>41</answer><answer>42</answer><ans", TagAnswer, MultipleAnswers)]
    [InlineData("#### 42", HashMarks, Truncated)]
    [InlineData("#### 42\n", HashMarks, Correct)]
    [InlineData("so 42", LastNumber, Truncated)]
    [InlineData("so 42.", LastNumber, Correct)]
    [InlineData(@"\boxed{42", Boxed, Truncated)]
    public void Judge_says_truncated_when_the_limit_came_before_a_complete_answer(
        string text, AnswerFormat format, Gsm8kVerdict expected) =>
        Assert.Equal(expected, Gsm8kAnswer.Judge(text, "42", format, FinishReason.Truncated));

    [Fact]
    public void Judge_names_a_gold_answer_that_is_no_number()
    {
        var error = Assert.Throws<ArgumentException>(() => Gsm8kAnswer.Judge("<answer>1</answer>", "many"));
        Assert.StartsWith("The gold answer must be one exact number but is 'many'.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Extract_bounds_the_candidate_that_it_shows()
    {
        Gsm8kExtraction found = Gsm8kAnswer.Extract($"<answer>{new string('9', 1_000_000)}</answer>");

        Assert.Equal(Unparseable, found.Refusal);
        Assert.Equal(64, found.Candidate!.Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => Gsm8kAnswer.Extract("1", (AnswerFormat)9));
    }

    [Theory]
    [InlineData(TagAnswer)]
    [InlineData(HashMarks)]
    [InlineData(Boxed)]
    [InlineData(LastNumber)]
    public void Judge_takes_linear_time_on_hostile_text(AnswerFormat format)
    {
        string[] pieces = ["<answer>", "<reasoning>", "####", "###", @"\boxed{", "{", "1,", "1", "-", " ", "=", "</answer>", "\n",
            "^2", "^{", @"\frac{1}", @"\text{", @"\boxed ", "{,}", @"\,", "$", "&#", " k", "and a "];
        foreach (string piece in pieces)
        {
            string text = string.Concat(Enumerable.Repeat(piece, 400_000));
            var clock = System.Diagnostics.Stopwatch.StartNew();
            Assert.NotEqual(Correct, Gsm8kAnswer.Judge(text, "42", format));

            // A quadratic pass over 400,000 characters takes minutes.
            Assert.InRange(clock.Elapsed.TotalSeconds, 0, 5);
        }
    }

    [Fact]
    public void TryGetGold_takes_what_follows_the_last_marks()
    {
        Assert.True(Gsm8kAnswer.TryGetGold("#### not this\nMia has 1080.\n#### 1,080", out string gold));
        Assert.Equal("1,080", gold);
        Assert.False(Gsm8kAnswer.TryGetGold("Mia has 24.", out _));
        Assert.False(Gsm8kAnswer.TryGetGold("Mia has 24.\n#### ", out _));
    }
}
