using Grpo.Evaluation;

namespace Grpo.Core.Tests.Evaluation;

public sealed class MajorityVoteTests
{
    [Fact]
    public void Winner_is_the_answer_given_most_often() => Assert.Equal(1, MajorityVote.Winner(["7", "42", "8", "42"]));

    [Fact]
    public void Winner_is_the_first_given_of_answers_given_equally_often()
    {
        Assert.Equal(0, MajorityVote.Winner(["7", "42", "42", "7"]));
        Assert.Equal(1, MajorityVote.Winner(["1", "42", "7", "7", "42"]));
        Assert.Equal(0, MajorityVote.Winner(["3", "2", "1"]));
    }

    [Fact]
    public void Winner_ignores_those_without_an_answer()
    {
        Assert.Equal(3, MajorityVote.Winner([null, null, null, "42"]));
        Assert.Null(MajorityVote.Winner([null, null]));
        Assert.Null(MajorityVote.Winner([]));
    }
}
