using Grpo.Callbacks;
using Grpo.Core.Tests.Optimization;
using Grpo.IO;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;

namespace Grpo.Core.Tests.Callbacks;

/// <summary>A recorded step done again is the step; one that is not is told apart, and in what.</summary>
public sealed class FlightReplayTests
{
    public static TheoryData<string> Cases => [.. RecordedRun.Cases.Keys];

    public static TheoryData<string> Presets => [.. GrpoPresets.Names];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task ReplayAsync_finds_every_step_equal_to_the_last_bit(string name)
    {
        using RecordedRun run = new(RecordedRun.Cases[name]);
        BigramPolicy trained = await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        var after = new List<string>();
        foreach (long step in record.Steps)
        {
            string? checkpoint = await FlightReplay.FindCheckpointAsync(run.Checkpoints, record, step);
            ReplayReport report = await run.NewReplay(record.SettingsOf(step).ToOptions()).ReplayAsync(record.Read(step), checkpoint);

            Assert.Empty(report.Differences(tolerance: 0));
            Assert.Equal(step, report.Step);
            Assert.Equal(0, report.LogProbs!.Value.Nats);
            Assert.Equal(
                run.Options is { KlCoefficient: > 0, KlEstimator: not KlEstimator.K1InReward }, report.ReferenceLogProbs is not null);
            Assert.Equal(run.Options.UpdatesPerRollout, report.Updates.Count);
            Assert.All(report.Updates, update => Assert.Equal(update.Recorded, update.Recomputed));
            after.Add(report.WeightsAfter);
        }

        Assert.Equal([.. record.Steps.Skip(1).Select(step => record.Read(step).WeightHash), WeightHash.Compute(trained)], after);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task RegenerateAsync_samples_every_completion_again(string name)
    {
        using RecordedRun run = new(RecordedRun.Cases[name]);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightReplay replay = run.NewReplay();
        foreach (long step in record.Steps)
        {
            FlightStep recorded = record.Read(step);
            string? checkpoint = await FlightReplay.FindCheckpointAsync(run.Checkpoints, record, step);
            for (int prompt = 0; prompt < recorded.Groups.Count; prompt++)
            {
                for (int sample = 0; sample < recorded.Groups[prompt].Completions.Count; sample++)
                {
                    RegeneratedCompletion completion = await replay.RegenerateAsync(recorded, prompt, sample, Toy.Tokenizer, checkpoint);
                    Assert.Null(completion.FirstDifference);
                    Assert.Equal(completion.Recorded.TokenIds, completion.Completion.TokenIds);
                    Assert.Equal(recorded.Groups[prompt].Completions[sample], completion.Recorded);
                    Assert.Equal(0, completion.LogProbDifference);
                    Assert.Equal(recorded.WeightHash, completion.Weights);
                }
            }
        }
    }

    [Fact]
    public async Task RegenerateAsync_names_the_first_token_that_differs()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightStep step = record.Read(1);
        FlightCompletion completion = step.Groups[1].Completions[2];
        Assert.True(completion.TokenIds.Count >= 2);

        Assert.Equal(
            1, await FirstDifferenceAsync([completion.TokenIds[0], completion.TokenIds[1] == 3 ? 4 : 3, .. completion.TokenIds.Skip(2)]));
        Assert.Equal(1, await FirstDifferenceAsync([completion.TokenIds[0]]));
        Assert.Equal(completion.TokenIds.Count, await FirstDifferenceAsync([.. completion.TokenIds, 3]));

        async Task<int?> FirstDifferenceAsync(int[] ids)
        {
            FlightStep changed = Change(step, group: 1, sample: 2, other => other with { TokenIds = ids });
            RegeneratedCompletion regenerated = await run.NewReplay().RegenerateAsync(changed, 1, 2, Toy.Tokenizer);
            Assert.False(regenerated.Alone); // the whole round had its say
            Assert.Equal(completion.TokenIds, regenerated.Completion.TokenIds);
            return regenerated.FirstDifference;
        }
    }

    [Fact]
    public async Task RegenerateAsync_tells_other_weights()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);

        // the model as it was before training
        RegeneratedCompletion completion = await run.NewReplay().RegenerateAsync(record.Read(4), 0, 0, Toy.Tokenizer);
        Assert.NotEqual(completion.RecordedWeights, completion.Weights);
        Assert.Contains("samples 0 to 5", (await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => run.NewReplay().RegenerateAsync(record.Read(4), 0, 6, Toy.Tokenizer))).Message, StringComparison.Ordinal);
        Assert.Contains("prompts 0 to 1", (await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => run.NewReplay().RegenerateAsync(record.Read(4), 2, 0, Toy.Tokenizer))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ReplayAsync_tells_weights_that_differ_in_one_bit()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        BigramPolicy policy = run.NewPolicy();
        using (var scope = TensorScope.BeginNoGrad())
        {
            // padding follows nothing
            policy.Table[0, 0] = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(policy.Weights()[0]) + 1);
        }

        ReplayReport report = await new FlightReplay(policy, run.Options).ReplayAsync(record.Read(1));
        string difference = Assert.Single(report.Differences());
        Assert.StartsWith("The weights are not those that the step began with", difference, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ReplayAsync_tells_other_weights_by_log_probs_and_loss()
    {
        using RecordedRun run = new(Toy.Options with { KlCoefficient = 0.1 });
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);

        ReplayReport report = await run.NewReplay().ReplayAsync(record.Read(3)); // the model as it was before training
        Assert.Null(report.Refusal);
        Assert.True(report.LogProbs!.Value.Nats > 0.01);
        Assert.Equal(0, report.ReferenceLogProbs!.Value.Nats);
        Assert.Equal(["The weights", "The log-prob", "The loss", "The KL", "The gradient norm"],
            report.Differences().Select(difference => new[] { "The weights", "The log-prob", "The loss", "The KL", "The gradient norm" }
                .Single(start => difference.StartsWith(start, StringComparison.Ordinal))));
    }

    [Fact]
    public async Task ReplayAsync_reports_a_step_that_is_refused()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        BigramPolicy policy = run.NewPolicy();
        using (var scope = TensorScope.BeginNoGrad())
        {
            policy.Table.mul_(20);
        }

        ReplayReport report = await new FlightReplay(policy, run.Options).ReplayAsync(record.Read(1));
        Assert.Contains("log-probs differ from the policy's", report.Refusal, StringComparison.Ordinal);
        Assert.Equal(2, report.Differences().Count); // that, and the weights
    }

    public static TheoryData<string, string> Changes => new()
    {
        { "log-prob", "The log-prob of token 0 of prompt" },
        { "log-prob missing", "The log-prob of token" },
        { "reference", "The reference log-prob of token 0 of prompt" },
        { "advantage", "An advantage differs by 0.5" },
        { "part", "1 completions were treated otherwise" },
        { "loss", "The loss of update 2 was" },
        { "KL", "The KL of update 1 was" },
        { "KL coefficient", "The KL coefficient of update 1 was" },
        { "norm", "The gradient norm of update 1 was" },
        { "rate", "The learning rate of update 1 was 2 and is 0.05" },
        { "threshold", "The entropy threshold of update 1 was 0.5 and is none" },
        { "skipped", "Update 1 was skipped then and applied now" },
        { "update", "Update 2 was not done then and was done now" },
    };

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task ReplayAsync_tells_a_record_that_was_changed(string what, string expected)
    {
        using RecordedRun run = new(RecordedRun.Cases["two updates, reference that moves, adaptive KL"]);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightStep step = record.Read(1);
        FlightUpdate first = step.Updates[0], second = step.Updates[1];
        int sample = step.Groups[1].Completions.TakeWhile(completion => completion.Part != FlightPart.Trained).Count();
        FlightStep changed = what switch
        {
            "log-prob" => Completion(other => other with { LogProbs = [other.LogProbs![0] - 1e-3f, .. other.LogProbs.Skip(1)] }),
            "log-prob missing" => Completion(other => other with { LogProbs = [.. other.LogProbs!.SkipLast(1)] }),
            "reference" => Completion(
                other => other with { ReferenceLogProbs = [other.ReferenceLogProbs![0] + 1e-3f, .. other.ReferenceLogProbs.Skip(1)] }),
            "advantage" => Completion(other => other with { Advantage = other.Advantage + 0.5 }),
            "part" => Completion(other => other with { Part = FlightPart.LeftOut }),
            "loss" => step with { Updates = [first, second with { Loss = second.Loss + 1e-4 }] },
            "KL" => Update(update => update with { Kl = update.Kl + 1e-4 }),
            "KL coefficient" => Update(update => update with { KlCoefficient = null }),
            "norm" => Update(update => update with { GradientNorm = double.NaN }),
            "rate" => Update(update => update with { LearningRate = 2 }),
            "threshold" => Update(update => update with { EntropyThreshold = 0.5 }),
            "skipped" => Update(update => update with { SkipReason = "too large" }),
            _ => step with { Updates = [first] },
        };

        ReplayReport report = await run.NewReplay().ReplayAsync(changed);
        Assert.StartsWith(expected, Assert.Single(report.Differences()), StringComparison.Ordinal);

        FlightStep Completion(Func<FlightCompletion, FlightCompletion> change) => Change(step, group: 1, sample, change);
        FlightStep Update(Func<FlightUpdate, FlightUpdate> change) => step with { Updates = [change(first), second] };
    }

    [Fact]
    public async Task ReplayAsync_tells_a_reward_that_was_changed()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightStep step = record.Read(1);
        FlightStep changed = Change(step, 0, 0, completion => completion with { Reward = completion.Reward with { Value = 7 } });

        ReplayReport report = await run.NewReplay().ReplayAsync(changed);
        Assert.Contains(report.Differences(), difference => difference.StartsWith("An advantage differs", StringComparison.Ordinal));
    }

    public static TheoryData<int, bool> Tokens =>
        new() { { -1, true }, { -1, false }, { Toy.Vocabulary, true }, { int.MaxValue, true }, { Toy.Vocabulary, false } };

    [Theory]
    [MemberData(nameof(Tokens))]
    public async Task Replay_refuses_a_token_that_the_policy_does_not_have(int token, bool inPrompt)
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightStep step = record.Read(1);
        FlightGroup group = step.Groups[1];
        FlightStep changed = inPrompt
            ? step with { Groups = [step.Groups[0], group with { PromptTokenIds = [3, token] }] }
            : Change(step, 1, 2, completion => completion with { TokenIds = [.. completion.TokenIds.SkipLast(1), token] });

        string message = $"Prompt 1 of step 1, '{group.PromptId}', or a completion of it has the token {token}; "
            + $"the policy has {Toy.Vocabulary}, from 0.";
        Assert.StartsWith(
            message, (await Assert.ThrowsAsync<InvalidDataException>(() => run.NewReplay().ReplayAsync(changed))).Message,
            StringComparison.Ordinal);
        Assert.StartsWith(message, (await Assert.ThrowsAsync<InvalidDataException>(
            () => run.NewReplay().RegenerateAsync(changed, 0, 0, Toy.Tokenizer))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replay_refuses_a_step_that_no_recorder_writes()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync();
        using FlightRecord record = FlightRecord.Open(run.Output);
        FlightStep step = record.Read(1);
        (FlightStep Changed, string Message)[] cases =
        [
            (step with { Groups = [step.Groups[0] with { PromptTokenIds = [] }, step.Groups[1]] }, "Prompt 0 of step 1, '"),
            (step with { Groups = [], Rounds = [] }, "The first round of step 1 has 0 of its 0 groups"),
            (step with { Rounds = [0, 2] }, "The first round of step 1 has 0 of its 2 groups"),
            (step with { Rounds = [3] }, "The first round of step 1 has 3 of its 2 groups"),
        ];
        foreach ((FlightStep changed, string message) in cases)
        {
            Assert.StartsWith(
                message, (await Assert.ThrowsAsync<InvalidDataException>(() => run.NewReplay().ReplayAsync(changed))).Message,
                StringComparison.Ordinal);
        }

        // A step made by hand, since none that is read has such a reward.
        FlightStep nan = Change(step, 0, 0, completion => completion with { Reward = new Reward(double.NaN) });
        await Assert.ThrowsAsync<RewardException>(() => run.NewReplay().ReplayAsync(nan));
    }

    [Fact]
    public async Task ReplayAsync_forms_the_micro_batches_that_memory_had_room_for()
    {
        using BigramPolicy inner = Toy.Policy(), same = Toy.Policy(), other = Toy.Policy();
        GrpoOptions options = Toy.Options with { MicroBatchSize = 12 };
        var tight = new TightPolicy(inner) { BackwardRoom = 30 };
        using var optimizer = new GrpoOptimizer(tight, Toy.Sampler, new Toy.LetterReward(), options);
        var capture = new StepCapture(tight, options.Seed);
        await optimizer.StepAsync(Toy.Prompts, [], [capture], CancellationToken.None);
        FlightStep step = capture.Step!;
        Assert.InRange(step.MicroBatchTokens!.Value, 9, 30);
        Assert.NotEmpty(tight.Failures);

        ReplayReport report = await new FlightReplay(same, options).ReplayAsync(step);
        Assert.Empty(report.Differences(tolerance: 0));
        Assert.Equal(0, report.OtherMicroBatches);
        Assert.Equal(WeightHash.Compute(inner), report.WeightsAfter);

        // Had it not been recorded: that is said, where there is a difference to explain.
        ReplayReport whole = await new FlightReplay(other, options).ReplayAsync(step with { MicroBatchTokens = null });
        Assert.True(whole.OtherMicroBatches > 0);
        Assert.Empty(whole.Differences(tolerance: 1e-3));
        Assert.EndsWith(
            "so that sums are rounded otherwise now.", (whole with { OtherParts = 1 }).Differences(tolerance: 1e-3)[^1],
            StringComparison.Ordinal);
    }

    [Fact]
    public void Differences_are_fit_for_a_terminal()
    {
        string hash = new('a', 64);
        var report = new ReplayReport
        {
            Step = 1,
            RecordedWeights = hash,
            Weights = hash,
            WeightsAfter = hash,
            LogProbs = new TokenDifference(1, "\u001b[31m\u202e", 0, 0),
        };
        string difference = Assert.Single(report.Differences());
        Assert.Equal(TerminalText.EscapeLine(difference), difference);
        Assert.Contains(@"prompt '\u{1B}[31m\u{202E}'", difference, StringComparison.Ordinal);
    }

    [Fact]
    public async Task FindCheckpointAsync_names_the_steps_that_can_be_replayed()
    {
        using RecordedRun run = new(Toy.Options);
        await run.TrainAsync(checkpointEvery: 2);
        using FlightRecord record = FlightRecord.Open(run.Output);

        Assert.Null(await FlightReplay.FindCheckpointAsync(run.Checkpoints, record, 1));
        Assert.Equal(
            Path.Combine(run.Checkpoints, "checkpoint-000002"), await FlightReplay.FindCheckpointAsync(run.Checkpoints, record, 3));
        string message = (await Assert.ThrowsAsync<FileNotFoundException>(
            () => FlightReplay.FindCheckpointAsync(run.Checkpoints, record, 4))).Message;
        Assert.Contains("checkpoint-000003", message, StringComparison.Ordinal);
        Assert.Contains("Steps that can be replayed: 1, 3.", message, StringComparison.Ordinal);
        Assert.Contains("its steps: 1-4", (await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => FlightReplay.FindCheckpointAsync(run.Checkpoints, record, 5))).Message, StringComparison.Ordinal);

        string weights = Path.Combine(run.Checkpoints, "checkpoint-000002", "bigram.safetensors");
        byte[] damaged = await File.ReadAllBytesAsync(weights);
        damaged[^1] ^= 1;
        await File.WriteAllBytesAsync(weights, damaged);
        Assert.Contains("is damaged", (await Assert.ThrowsAsync<InvalidDataException>(
            () => FlightReplay.FindCheckpointAsync(run.Checkpoints, record, 3))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Presets))]
    public void ToOptions_gives_the_options_back(string preset)
    {
        GrpoOptions options = GrpoPresets.Get(preset) with
        {
            Sampling = new SamplingOptions { MaxCompletionTokens = 77, Temperature = 0.7 },
            LearningRate = 1.0 / 3,
            KlTarget = preset.Length,
        };
        GrpoOptions back = FlightSettings.From(options, new Dictionary<string, string>()).ToOptions();

        Assert.Equal(OptionText.From(options, ""), OptionText.From(back, ""));
        Assert.Equal(1.0 / 3, back.LearningRate);
    }

    [Fact]
    public void ToOptions_names_what_it_cannot_make()
    {
        FlightSettings own = FlightSettings.From(Toy.Options with { Advantage = new OwnAdvantage() }, new Dictionary<string, string>());
        string message = Assert.Throws<InvalidOperationException>(own.ToOptions).Message;
        Assert.Contains(
            "GrpoOptions.Advantage was 'Grpo.Core.Tests.Callbacks.FlightReplayTests+OwnAdvantage'", message, StringComparison.Ordinal);
        Assert.Contains("Give the options of the run", message, StringComparison.Ordinal);

        var later = new FlightSettings
        {
            Options = new Dictionary<string, string?> { ["GrpoOptions.Later"] = "1" },
            About = new Dictionary<string, string>(),
        };
        Assert.Contains(
            "'GrpoOptions.Later' is no option of this version", Assert.Throws<InvalidOperationException>(later.ToOptions).Message,
            StringComparison.Ordinal);
    }

    private static FlightStep Change(FlightStep step, int group, int sample, Func<FlightCompletion, FlightCompletion> change) => step with
    {
        Groups = [.. step.Groups.Select((one, i) => i != group ? one : one with
        {
            Completions = [.. one.Completions.Select((completion, j) => j != sample ? completion : change(completion))],
        })],
    };

    private sealed record OwnAdvantage : GroupAdvantageFunction
    {
        public override string Name => "own";

        protected override IEnumerable<double> Estimate(GroupScores group) => group.Rewards;
    }
}
