using System.Text;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.Modeling;

namespace Grpo.Core.Tests.Callbacks;

public sealed class ReportPartsTests
{
    [Fact]
    public void GroupChoice_takes_the_groups_that_differ_most_and_the_ends_of_each()
    {
        ScoredGroup silent = Toy.Scored(Toy.Group(Toy.Prompts[0], "a", "b"), 0, 0);
        ScoredGroup narrow = Toy.Scored(Toy.Group(Toy.Prompts[1], "a", "b"), 0.1, -0.1);
        ScoredGroup wide = Toy.Scored(Toy.Group(Toy.Prompts[2], "a", "b", "c", "d", "e", "f"), 1, -2, 3, 0, -1, 2);
        ScoredGroup middle = Toy.Scored(Toy.Group(Toy.Prompts[3], "a", "b"), 1, -1);

        IReadOnlyList<ShownGroup> chosen =
            GroupChoice.Of(StepMetricsTests.FullReport().Report with { Groups = [silent, narrow, wide, middle] });

        Assert.Equal(["p2", "p3"], chosen.Select(group => group.Prompt.Id));
        Assert.Equal([3, 2, -1, -2], chosen[0].Completions.Select(shown => shown.Advantage));
        Assert.Equal([2, 5, 4, 1], chosen[0].Completions.Select(shown => shown.Sample));
        Assert.Equal(["c", "f", "e", "b"], chosen[0].Completions.Select(shown => shown.Completion.Text));
        Assert.Equal((6, 2), (chosen[0].Size, chosen[1].Size));
    }

    [Fact]
    public void RunHistory_thins_out_many_evaluations_evenly_and_keeps_the_last()
    {
        var history = new RunHistory(null);
        TrainingStep full = StepMetricsTests.FullReport();
        for (int step = 1; step <= 1000; step++)
        {
            history.Add(full with { Report = full.Report with { Step = step } });
        }

        // 401 are one too many, twice: every fourth is left, and step 1000 was not its turn.
        Assert.Equal([.. Enumerable.Range(0, 250).Select(i => 1L + (4 * i)), 1000L], history.Evaluations.Select(point => point.Step));
    }

    [Fact]
    public void BeforeAfter_pairs_by_prompt_and_shows_some_of_each_change()
    {
        // Twenty prompts: p00 to p04 gained, p05 to p06 lost, the next five stay wrong, the rest stay right.
        EvaluationReport before = Evaluation(i => i is >= 5 and < 7 or >= 12), after = Evaluation(i => i is < 5 or >= 12, reversed: true);

        var pairs = BeforeAfter.From(before, after);

        Assert.Equal(
            (5, 2, 5, 8),
            (pairs.Count(Change.Gained), pairs.Count(Change.Lost), pairs.Count(Change.StillWrong), pairs.Count(Change.StillRight)));
        IReadOnlyList<BeforeAfter.Pair> shown = pairs.Choose();
        Assert.Equal(12, shown.Count);
        Assert.Equal((5, 2, 3, 2), (
            shown.Count(pair => pair.Change == Change.Gained), shown.Count(pair => pair.Change == Change.Lost),
            shown.Count(pair => pair.Change == Change.StillWrong), shown.Count(pair => pair.Change == Change.StillRight)));
        Assert.All(pairs.Pairs, pair => Assert.Equal(
            (pair.Prompt.Id + " before", pair.Prompt.Id + " after"), (pair.Before.Completion.Text, pair.After.Completion.Text)));

        EvaluationReport Evaluation(Func<int, bool> correct, bool reversed = false)
        {
            int[] order = [.. Enumerable.Range(0, 20).Select(i => reversed ? 19 - i : i)];
            return new EvaluationReport
            {
                Count = 20,
                Groups = [.. order.Select(i => new RolloutGroup(
                    Prompt.Create($"p{i:00}", "q"), [2],
                    [new Completion([2], $"p{i:00} {(reversed ? "after" : "before")}", FinishReason.EndToken)]))],
                Rewards = [.. order.Select(i => new Reward(0) { IsCorrect = correct(i) })],
            };
        }
    }

    [Fact]
    public void BeforeAfter_goes_by_the_reward_when_correctness_is_not_judged()
    {
        var side = new BeforeAfter.Side(new Completion([2], "a", FinishReason.EndToken), 1);
        Change Of(Reward after) => new BeforeAfter.Pair(Toy.Prompts[0], side, side with { Reward = after }).Change;

        Assert.Equal([Change.Gained, Change.Lost, Change.Same, Change.Same], [Of(2), Of(0.5), Of(1), Of(Reward.Abstain)]);
    }

    [Fact]
    public void TokenPieces_give_a_character_to_the_token_that_completes_it()
    {
        Assert.Equal(["a", "", "é", "b", "", "", "", "😀", "<end>"], TokenPieces.Decode(
            new ByteTokenizer(), [.. Encoding.UTF8.GetBytes("aéb😀").Select(value => (int)value), ByteTokenizer.End]));
        Assert.Empty(TokenPieces.Decode(new ByteTokenizer(), []));
    }

    [Fact]
    public void TokenColors_tell_sign_and_depth()
    {
        Assert.Equal(["an4", "an1", "", "ap1", "ap4"], new[] { -9.0, -0.2, 0, 0.2, 1.8 }.Select(TokenColors.Advantage));
        Assert.Equal(["rn4", "rn2", "", "", "rp2", "rp4", "", ""], new double?[] { 0, 0.6, 0.96, 1.04, 1.5, 9, null, double.NaN }
            .Select(TokenColors.Ratio));
        Assert.Equal(["", "", "e1", "e4", ""], new double?[] { 0, 0.05, 0.1, 2, null }.Select(TokenColors.Entropy));
    }

    [Fact]
    public void TokenNumbers_are_those_of_the_policy()
    {
        using var policy = Toy.Policy();
        int a = Toy.Tokenizer.Id('a'), b = Toy.Tokenizer.Id('b'), c = Toy.Tokenizer.Id('c');

        IReadOnlyList<TokenNumbers> numbers = TokenNumbers.Read(
            new TokenDetails(policy, Toy.Tokenizer), [a], [[b], [c, a]], temperature: 1);

        Assert.Equal(Math.Log(policy.Probability(a, b)), Assert.Single(numbers[0].LogProbs), 5);
        Assert.Equal(2, numbers[1].LogProbs.Count);
        Assert.Equal(Math.Log(policy.Probability(a, c)), numbers[1].LogProbs[0], 5);
        Assert.Equal(Math.Log(policy.Probability(c, a)), numbers[1].LogProbs[1], 5);
        double entropy = -Enumerable.Range(0, Toy.Vocabulary)
            .Sum(next => policy.Probability(c, next) * Math.Log(policy.Probability(c, next)));
        Assert.Equal(entropy, numbers[1].Entropies![1], 5);
    }

    [Fact]
    public void OptionFacts_name_every_option_and_mark_what_is_not_the_default()
    {
        IReadOnlyList<OptionFact> facts =
            OptionFacts.From(new GrpoOptions { LearningRate = 0.25, Sampling = new SamplingOptions { Temperature = 0.5 } });

        Assert.Equal(
            [new("Sampling.Temperature", "0.5", true), new OptionFact("LearningRate", "0.25", true)], facts.Where(fact => fact.IsChanged));
        Assert.Contains(new OptionFact("Objective", "clipped(Low=0.2, High=0.2)", false), facts);
        Assert.Contains(new OptionFact("Seed", "42", false), facts);
        Assert.Contains(new OptionFact("KlTarget", "none", false), facts);
    }

    // A token per byte, as byte-level vocabularies begin.
    private sealed class ByteTokenizer : ITokenizer
    {
        public const int End = 256;

        public int VocabularySize => 257;

        public IReadOnlySet<int> EndTokenIds { get; } = new HashSet<int> { End };

        public int PadTokenId => End;

        public IReadOnlyList<int> Encode(string text) => [.. Encoding.UTF8.GetBytes(text).Select(value => (int)value)];

        public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true)
        {
            byte[] bytes = [.. tokenIds.TakeWhile(id => id != End).Select(id => (byte)id)];
            var decoder = Encoding.UTF8.GetDecoder(); // keeps an incomplete character back, as the contract says
            var text = new char[bytes.Length + 1];
            int count = decoder.GetChars(bytes, text, flush: false);
            return new string(text, 0, count) + (tokenIds.Count > bytes.Length && !skipSpecialTokens ? "<end>" : "");
        }
    }
}
