using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>
/// Seven prompts in the order 6 5 2 1 0 4 3, then 1 0 5 4 2 3 6 (seed 42, see PromptOrderTests); one a step unless said otherwise.
/// </summary>
public sealed class PromptScheduleTests
{
    private static readonly Prompt[] Prompts =
        [.. Enumerable.Range(0, 7).Select(i => Prompt.Create(FormattableString.Invariant($"q{i}"), "a"))];

    [Fact]
    public void Draw_is_the_plain_order_without_a_curriculum()
    {
        PromptSchedule schedule = Schedule(null, perStep: 2);
        Assert.Equal([6, 5], schedule.Choose(0).Indices);
        Assert.Equal([3, 1], schedule.Choose(3).Indices);
        Assert.Null(schedule.Commit(schedule.Choose(0), 1, [Group(6, true, true)]));
        Assert.Empty(schedule.Records);
    }

    [Fact]
    public void Draw_passes_over_what_was_solved_and_what_was_not()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1 });
        Assert.Equal([6, 5, 2, 1, 0, 4, 3], Run(schedule, 7, Outcome).Select(step => step.Index)); // nothing is known yet
        (int Index, CurriculumReport Report)[] second = Run(schedule, 5, Outcome);
        Assert.Equal([0, 4, 2, 3, 6], second.Select(step => step.Index));                                         // 1 and 5 had their turns
        Assert.Equal([1, 1, 0, 0, 0], second.Select(step => step.Report.Skipped));
        Assert.Equal([1, 0, 0, 0, 0], second.Select(step => step.Report.PausedSolved));
        Assert.Equal([0, 0, 0, 0, 0], second.Select(step => step.Report.PausedUnsolved));
        Assert.Equal(0.5, second[0].Report.MeanPassRate);                                                         // 1, 0 and five times 1/2
        Assert.Equal(14, schedule.Position);
    }

    [Fact]
    public void A_pause_doubles_up_to_the_longest()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1, LongestPause = 8 });
        Assert.Equal([0, 2, 5, 10, 19, 28], Epochs(schedule, 5, 30, Outcome));   // pauses of 1, 2, 4, 8, 8 turns
    }

    [Fact]
    public void A_pause_needs_as_many_groups_as_the_window_has()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 2 });
        Assert.Equal([0, 1, 3, 6, 11], Epochs(schedule, 1, 12, Outcome));      // two looks, then pauses of 1, 2, 4 turns
    }

    [Fact]
    public void A_group_between_the_bounds_ends_the_pauses()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1 });
        int seen = 0;
        int[] epochs = Epochs(schedule, 5, 9, index => index != 5 ? [true, false] : ++seen == 3 ? [true, false] : [true, true]);
        // the third look is mixed: the next pause is of 1 turn again
        Assert.Equal([0, 2, 5, 6, 8], epochs);
    }

    [Fact]
    public void Bounds_can_be_moved()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1, SolvedAt = 0.75, UnsolvedAt = -1 });
        Assert.Equal([0, 2], Epochs(schedule, 5, 3, index => index == 5 ? [true, true, true, false] : [false, false]));
        Assert.All(schedule.Records.Where(record => record.Key != "q5"), record => Assert.Equal(0, record.Value.Pause));
    }

    [Fact]
    public void Draw_fills_up_with_those_sampled_longest_ago()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions(), perStep: 3);
        var records = Enumerable.Range(0, 7).ToDictionary(
            i => Prompts[i].Id, i => new PassRate([1, 1], i == 4 ? 0 : 8, 8, 20 - i));
        schedule.Restore(0, records);
        PromptChoice choice = schedule.Choose(99);
        Assert.Equal([4, 6, 5], choice.Indices);                                     // 4 is free; 6 and 5 were sampled in steps 14 and 15
        Assert.Equal((2, 14), (choice.Filled, choice.NextPosition));
        CurriculumReport report = schedule.Commit(choice, 100, [Group(4, true, false), Group(6, true, false), Group(5, true, true)])!;
        Assert.Equal((12, 2), (report.Skipped, report.Filled));                    // six prompts, two turns each
        Assert.Equal([6, 6, 6, 6, 0, 8, 0], Prompts.Select(prompt => schedule.Records[prompt.Id].Pause));
    }

    [Fact]
    public void Draw_uses_a_small_data_set_whole()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1 }, perStep: 7);
        schedule.Commit(schedule.Choose(0), 1, [.. Enumerable.Range(0, 7).Select(i => Group(i, true, true))]);
        Assert.Equal([1, 0, 5, 4, 2, 3, 6], schedule.Choose(1).Indices);
    }

    [Fact]
    public void Draw_repeats_itself_until_it_is_committed_and_keeps_the_paused_out_of_the_reserve()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1 }, perStep: 2, rounds: 4);
        PromptChoice first = schedule.Choose(0), again = schedule.Choose(0);
        Assert.Equal(first.Indices, again.Indices);
        Assert.Equal(first.Reserve, again.Reserve);
        int paused = first.Reserve[0];
        schedule.Commit(first, 1, [Group(6, true, false), Group(5, true, false), Group(paused, true, true)]);
        schedule.Restore(0, schedule.Records.ToDictionary());
        Assert.Equal(first.Reserve.Skip(1), schedule.Choose(0).Reserve);
    }

    [Fact]
    public void Commit_leaves_abstentions_and_what_is_not_judged_out()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions { PassRateWindow = 1 });
        RolloutGroup group = Toy.Group(Prompts[6], "a", "b", "c");
        CurriculumReport report = schedule.Commit(schedule.Choose(0), 1, [new ScoredGroup(group, [1, 0, 1], [1, -1, 0])])!;
        Assert.False(schedule.HasJudgments);
        Assert.Null(report.MeanPassRate);
        Reward wrong = new(0) { IsCorrect = false }, abstained = new(null) { IsCorrect = true };
        schedule.Commit(schedule.Choose(1), 2, [new ScoredGroup(Toy.Group(Prompts[5], "a", "b", "c"), [wrong, abstained, 0.5], [0, 0, 0])]);
        Assert.Equal([0.0], schedule.Records["q5"].Rates);
        Assert.True(schedule.HasJudgments);
    }

    [Fact]
    public void Restore_drops_prompts_that_are_not_in_the_data_set()
    {
        PromptSchedule schedule = Schedule(new PassRateOptions());
        schedule.Restore(3, new Dictionary<string, PassRate> { ["q1"] = PassRate.Unknown, ["gone"] = PassRate.Unknown });
        Assert.Equal(["q1"], schedule.Records.Keys);
        Assert.Equal([1], schedule.Choose(0).Indices);
    }

    // Prompt 5 is always solved, prompt 1 never, the others half the time.
    private static bool[] Outcome(int index) => index switch { 5 => [true, true], 1 => [false, false], _ => [true, false] };

    private static (int Index, CurriculumReport Report)[] Run(PromptSchedule schedule, int steps, Func<int, bool[]> outcome) =>
    [
        .. Enumerable.Range(0, steps).Select(step =>
        {
            PromptChoice choice = schedule.Choose(step);
            int index = Assert.Single(choice.Indices);
            return (index, schedule.Commit(choice, step + 1, [Group(index, outcome(index))])!);
        }),
    ];

    // The epochs in which a prompt is sampled.
    private static int[] Epochs(PromptSchedule schedule, int prompt, int epochs, Func<int, bool[]> outcome)
    {
        var sampled = new List<int>();
        while (schedule.Position < 7 * epochs)
        {
            (int index, _) = Run(schedule, 1, outcome)[0];
            if (index == prompt && schedule.Position <= 7 * epochs)
            {
                sampled.Add((int)((schedule.Position - 1) / 7));
            }
        }

        return [.. sampled];
    }

    private static PromptSchedule Schedule(PassRateOptions? options, int perStep = 1, int rounds = 1) =>
        new(Prompts, new GrpoOptions { Seed = 42, PromptsPerStep = perStep, MaxSamplingRounds = rounds }, options);

    private static ScoredGroup Group(int index, params bool[] correct) => new(
        Toy.Group(Prompts[index], [.. correct.Select(_ => "a")]),
        [.. correct.Select(right => new Reward(right ? 1 : 0) { IsCorrect = right })],
        new double[correct.Length]);
}
