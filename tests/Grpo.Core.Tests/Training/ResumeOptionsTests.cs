using System.Text.Json;
using Grpo.Checkpoints;
using Grpo.Losses;
using Grpo.Planning;
using Grpo.Scoring;
using Grpo.Testing;
using Grpo.Training;
using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Training;

/// <summary>A checkpoint knows the options of its run: what would make another run of it is named and refused.</summary>
public sealed class ResumeOptionsTests : IDisposable
{
    private static readonly TrainerOptions Trainer = new() { Steps = 3, CheckpointEvery = 1, Resume = true };

    private readonly TemporaryFolder _folder = new();
    private readonly ListLogger<GrpoTrainer> _log = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_checkpoint_holds_the_options_in_readable_form()
    {
        await TrainAsync(Toy.Options with { Objective = new ClippedObjective { Low = 0.1 }, MaxGradientNorm = null }, Trainer);

        string json = File.ReadAllText(_folder["checkpoint-000003/run_options.json"]);
        JsonElement options = JsonDocument.Parse(json).RootElement.GetProperty("options");
        Assert.Equal(
            ["0.05", "6", "clipped(Low=0.1, High=0.2)", "1", null, "TokenMean", "None", "2", "Stop"],
            new[]
            {
                "GrpoOptions.LearningRate", "GrpoOptions.Sampling.MaxCompletionTokens", "GrpoOptions.Objective",
                "GrpoOptions.Sampling.Temperature", "GrpoOptions.MaxGradientNorm", "GrpoOptions.Reduction", "TrainerOptions.Curriculum",
                "TrainerOptions.PassRates.PassRateWindow", "TrainerOptions.Guard.OnCollapse",
            }.Select(name => options.GetProperty(name).GetString()));
        Assert.StartsWith("4 prompts, SHA-256 ", options.GetProperty("data set").GetString(), StringComparison.Ordinal);
        Assert.Contains("\n    \"GrpoOptions.AdamBeta1\": \"0.9\",\n", json, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_difference_that_changes_the_numbers_is_named_with_both_values()
    {
        await TrainAsync(Toy.Options, Trainer);
        GrpoOptions changed = Toy.Options with
        {
            LearningRate = 0.1,
            MicroBatchSize = 4,
            Seed = 7,
            MaxGradientNorm = null,
            Objective = new ClippedObjective { High = 0.3 },
            Sampling = Toy.Options.Sampling with { Temperature = 0.9 },
        };

        var error = await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync(changed, Trainer with { Steps = 5, Curriculum = CurriculumMode.PassRate }));

        Assert.Equal(
            $"'{_folder["checkpoint-000003"]}' is of a run with other options, so going on would be neither that run nor this one: "
            + "GrpoOptions.LearningRate was 0.05 and is 0.1; GrpoOptions.MaxGradientNorm was 1 and is none; GrpoOptions.MicroBatchSize was "
            + "5 and is 4; GrpoOptions.Objective was clipped(Low=0.2, High=0.2) and is clipped(Low=0.2, High=0.3); "
            + "GrpoOptions.Sampling.Temperature was 1 and is 0.9; GrpoOptions.Seed was 42 and is 7; TrainerOptions.Curriculum was None and "
            + "is PassRate. Use the options of the checkpoint, or another folder for a new run, or set "
            + "AllowOptionChanges to go on with these.",
            error.Message);
    }

    [Fact]
    public async Task A_rate_left_to_the_default_is_saved_and_compared_by_its_value()
    {
        await TrainAsync(Toy.Options with { LearningRate = null }, Trainer);
        string json = File.ReadAllText(_folder["checkpoint-000003/run_options.json"]);
        Assert.Contains("\"GrpoOptions.LearningRate\": \"1E-06\"", json, StringComparison.Ordinal);

        await TrainAsync(Toy.Options with { LearningRate = 1e-6 }, Trainer with { Steps = 4 }); // the same rate, now set
        var error = await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync(Toy.Options with { LearningRate = 1e-5 }, Trainer with { Steps = 5 }));
        Assert.Contains("GrpoOptions.LearningRate was 1E-06 and is 1E-05.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_with_the_earlier_name_of_a_reduction_has_no_other_options()
    {
        var now = SavedOptions.Create(Toy.Options with { Reduction = LossReduction.SequenceSum }, Trainer, Toy.Prompts);
        var saved = now with { Options = new Dictionary<string, string?>(now.Options) { ["GrpoOptions.Reduction"] = "LengthScaled" } };

        Assert.Empty(saved.DifferencesTo(now));
        Assert.Equal(
            ["GrpoOptions.Reduction was SequenceSum and is TokenMean"],
            saved.DifferencesTo(SavedOptions.Create(Toy.Options, Trainer, Toy.Prompts)));
    }

    [Fact]
    public async Task Another_data_set_is_refused()
    {
        await TrainAsync(Toy.Options, Trainer);
        foreach (IReadOnlyList<Prompt> prompts in new IReadOnlyList<Prompt>[]
        {
            [.. Toy.Prompts.Reverse()],
            [.. Toy.Prompts.Skip(1)],
            [Toy.Prompts[0] with { Answer = "5" }, .. Toy.Prompts.Skip(1)],
        })
        {
            var error = await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync(Toy.Options, Trainer, prompts));
            Assert.Contains(": data set was 4 prompts, SHA-256 ", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Options_that_no_number_depends_on_may_change()
    {
        await TrainAsync(Toy.Options, Trainer);
        GrpoOptions changed = Toy.Options with
        {
            Rewards = new RewardOptions { Timeout = TimeSpan.FromSeconds(30), MaxConcurrency = 2, OnError = RewardErrorHandling.Abstain },
        };
        TrainingSummary summary = await TrainAsync(changed, Trainer with
        {
            Steps = 4,
            EvaluateEvery = 2,
            CheckpointEvery = 2,
            CheckpointInterval = TimeSpan.FromSeconds(1),
            KeepBest = false,
            OnCheckpointFailure = CheckpointFailureAction.Continue,
            Guard = new CollapseGuard { MaxAccuracyDrop = 0.5 },
            PassRates = new PassRateOptions { PassRateWindow = 3 },
        });
        Assert.Equal(1, summary.Steps);
    }

    [Fact]
    public async Task Other_options_are_taken_when_allowed_and_told_in_the_log_and_are_then_those_of_the_run()
    {
        await TrainAsync(Toy.Options, Trainer);
        GrpoOptions changed = Toy.Options with { LearningRate = 0.1 };

        await TrainAsync(changed, Trainer with { Steps = 4, AllowOptionChanges = true });

        Assert.Contains(_log.Entries, entry => entry
            is { Level: LogLevel.Warning, Text: "Resumed with other options, as allowed: GrpoOptions.LearningRate was 0.05 and is 0.1." });
        Assert.Equal(1, (await TrainAsync(changed, Trainer with { Steps = 5 })).Steps);
        await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync(changed with { Seed = 1 }, Trainer with { Steps = 6, AllowOptionChanges = true }));
    }

    [Fact]
    public async Task Float32_moments_may_move_and_in_8_bits_they_are_another_run()
    {
        await TrainAsync(Toy.Options, Trainer);
        Assert.Equal(
            1, (await TrainAsync(Toy.Options with { OptimizerMoments = OptimizerMoments.Host }, Trainer with { Steps = 4 })).Steps);
        GrpoOptions inBytes = Toy.Options with { OptimizerMoments = OptimizerMoments.Int8 };
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => TrainAsync(inBytes, Trainer with { Steps = 5 }));
        Assert.Contains(": GrpoOptions.OptimizerMoments was Host and is Int8. ", error.Message, StringComparison.Ordinal);

        // Allowed, the moments are converted, there and back.
        Assert.Equal(1, (await TrainAsync(inBytes, Trainer with { Steps = 5, AllowOptionChanges = true })).Steps);
        Assert.Equal(1, (await TrainAsync(Toy.Options, Trainer with { Steps = 6, AllowOptionChanges = true })).Steps);
    }

    [Fact]
    public async Task Methods_of_the_user_are_compared_by_type_and_properties()
    {
        GrpoOptions own = Toy.Options with { Objective = new OwnObjective { Power = 2 }, Advantage = new Halved(0.5) };
        await TrainAsync(own, Trainer);

        Assert.Equal(1, (await TrainAsync(
            own with { Objective = new OwnObjective { Power = 2 }, Advantage = new Halved(0.5) }, Trainer with { Steps = 4 })).Steps);
        var error = await Assert.ThrowsAsync<InvalidDataException>(
            () => TrainAsync(own with { Objective = new OwnObjective { Power = 3 }, Advantage = new Halved(0.25) }, Trainer));
        string here = typeof(ResumeOptionsTests).FullName!;
        Assert.Contains(
            $": GrpoOptions.Advantage was {here}+Halved(Factor=0.5) and is {here}+Halved(Factor=0.25); "
            + $"GrpoOptions.Objective was {here}+OwnObjective(Power=2) and is {here}+OwnObjective(Power=3). ", error.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(CollapseAction.Stop, CollapseAction.RollBack, false)]
    [InlineData(CollapseAction.Continue, CollapseAction.Stop, false)]
    [InlineData(CollapseAction.Continue, CollapseAction.RollBack, true)]
    [InlineData(CollapseAction.RollBack, CollapseAction.Stop, true)]
    public void The_guard_matters_where_it_may_have_changed_the_weights(CollapseAction was, CollapseAction now, bool matters)
    {
        SavedOptions before = Options(new TrainerOptions { Guard = new CollapseGuard { OnCollapse = was } });
        SavedOptions after = Options(new TrainerOptions { EvaluateEvery = 5, Guard = new CollapseGuard { OnCollapse = now } });
        Assert.Equal(
            matters ? ["TrainerOptions.EvaluateEvery was 0 and is 5", $"TrainerOptions.Guard.OnCollapse was {was} and is {now}"] : [],
            before.DifferencesTo(after));
    }

    [Fact]
    public void An_option_that_one_of_two_versions_does_not_know_counts_as_its_default()
    {
        SavedOptions now = Options(new TrainerOptions());
        var without = now with
        {
            Options = now.Options.Where(option => option.Key != "GrpoOptions.AdamBeta2").ToDictionary(StringComparer.Ordinal),
        };
        var removed = now with { Options = now.Options.Append(new("GrpoOptions.Gone", "1")).ToDictionary(StringComparer.Ordinal) };
        SavedOptions changed = SavedOptions.Create(Toy.Options with { AdamBeta2 = 0.95 }, new TrainerOptions(), Toy.Prompts);

        Assert.Empty(without.DifferencesTo(now));
        Assert.Equal(["GrpoOptions.AdamBeta2 was 0.999 and is 0.95"], without.DifferencesTo(changed));
        Assert.Equal(["GrpoOptions.Gone was 1 and is unknown"], removed.DifferencesTo(now));
    }

    [Theory]
    [InlineData("null", "does not hold options but null.")]
    [InlineData("{\"format\":2,\"options\":{}}", "has format 2; this version reads format 1.")]
    [InlineData("{\"format\":1}", "does not hold options:")]
    [InlineData("{\"format\":1,\"options\":{\"a\":\"1\",\"a\":\"2\"}}", "does not hold options:")]
    [InlineData("[", "does not hold options:")]
    public void A_file_that_is_not_ours_is_named(string content, string problem)
    {
        File.WriteAllText(_folder[SavedOptions.FileName], content);
        var error = Assert.Throws<InvalidDataException>(() => SavedOptions.Read(_folder.Path));
        Assert.StartsWith($"'{_folder[SavedOptions.FileName]}' {problem}", error.Message, StringComparison.Ordinal);
    }

    private static SavedOptions Options(TrainerOptions trainer) => SavedOptions.Create(Toy.Options, trainer, Toy.Prompts);

    private async Task<TrainingSummary> TrainAsync(GrpoOptions grpo, TrainerOptions trainer, IReadOnlyList<Prompt>? prompts = null)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), grpo);
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder.Path) };
        return await new GrpoTrainer(optimizer, prompts ?? Toy.Prompts, trainer, services, _log).TrainAsync();
    }

    private sealed record OwnObjective : PolicyObjective
    {
        public override string Name => "Own";

        public int Power { get; init; } = 1;

        public override Tensor PerToken(ObjectiveInputs inputs) => new ReinforceObjective().PerToken(inputs);
    }

    private sealed record Halved(double Factor) : GroupAdvantageFunction
    {
        public override string Name => "Halved";

        protected override IEnumerable<double> Estimate(GroupScores group) =>
            group.Rewards.Select(reward => Factor * (reward - group.Moments.Mean));
    }
}
