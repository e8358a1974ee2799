namespace Grpo.Core.Tests.Rollouts;

/// <summary>Text in a think block is no part of an answer.</summary>
public sealed class ThinkBlocksTests
{
    [Theory]
    [InlineData("42", "42")]
    [InlineData("<think>3</think>42", "42")]
    [InlineData("<think>3</think> 42 <think>5</think>!", " 42 !")]
    [InlineData("4 <think>2", "4 ")]                                    // never closed
    [InlineData("<think>", "")]
    [InlineData("3</think>42", "42")]                                   // began in the prompt
    [InlineData("<think>1<think>2</think>42", "42")]                    // a start inside a block is part of it
    [InlineData("<think>1</think>2</think>42", "42")]                   // an end without a start closes everything before it
    [InlineData("<Think>3</Think>42", "<Think>3</Think>42")]
    [InlineData("<think>3</thin", "")]
    [InlineData("", "")]
    public void RemoveThinkBlocks_keeps_what_a_reader_sees(string text, string visible)
    {
        Assert.Equal(visible, Completion.RemoveThinkBlocks(text));
        Assert.Equal(visible, Completion.RemoveThinkBlocks(visible));   // removing twice is removing once
    }

    [Theory]
    [InlineData("3</think>42", "42")]
    [InlineData("3, so 42", "")]
    [InlineData("3<think>4</think>42", "42")]
    public void VisibleText_begins_after_the_block_that_the_prompt_opened(string text, string visible)
    {
        var completion = new Completion([1], text, FinishReason.EndToken) { StartsInThinkBlock = true };
        Assert.Equal(visible, completion.VisibleText);
        Assert.Equal(text, completion.Text);
    }

    [Fact]
    public void RemoveThinkBlocks_takes_linear_time()
    {
        string text = string.Concat(Enumerable.Repeat("<think>", 200_000)) + string.Concat(Enumerable.Repeat("</think>x", 200_000));
        Assert.Equal("x", Completion.RemoveThinkBlocks(text));
        Assert.Equal("", Completion.RemoveThinkBlocks(string.Concat(Enumerable.Repeat("<", 500_000)) + "</think>"));
    }
}
