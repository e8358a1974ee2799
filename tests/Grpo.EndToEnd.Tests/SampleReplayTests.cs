using Grpo.Callbacks;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>A run of the sample with a recorder, and its replay, as a user does both.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleReplayTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string Output => _folder["run"];

    [Fact]
    public async Task Replay_finds_every_step_of_a_recorded_run_equal_and_regenerates_its_completions()
    {
        // Two updates a step, a reference model, and adapters: what replay has to set up as train did. The first step of
        // a warm-up learns nothing.
        await TrainAsync(
            "--kl-coefficient", "0.04", "--updates-per-rollout", "2", "--lora-rank", "4", "--learning-rate", "1e-3", "--warmup-steps", "0");
        string completion;
        using (FlightRecord record = FlightRecord.Open(Output))
        {
            Assert.Equal([1, 2, 3], record.Steps);
            Assert.Equal(3, record.Steps.Select(step => record.Read(step).WeightHash).Distinct().Count());
            completion = record.Read(3).Groups[1].PromptId;
        }

        foreach (int step in new[] { 1, 2, 3 })
        {
            SampleProcess.Result replay = (await ReplayAsync(step, "--tolerance", "0")).Succeeded();
            Assert.Contains("Nothing differs.", replay.Output, StringComparison.Ordinal);
            Assert.Contains("KL, update 2", replay.Output, StringComparison.Ordinal);
        }

        Assert.Contains(
            "Nothing differs.", (await ReplayAsync(3, "--prompt", "0", "--sample", "7")).Succeeded().Output, StringComparison.Ordinal);
        Assert.Contains(
            $"('{completion}'), sample 5", (await ReplayAsync(3, "--prompt", completion, "--sample", "5")).Succeeded().Output,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Replay_exits_with_2_when_something_differs_and_with_1_when_it_cannot_be_done()
    {
        await TrainAsync("--warmup-steps", "0", "--learning-rate", "1e-3", "--keep-checkpoints", "2");
        string other = Path.Combine(Output, "checkpoints", "checkpoint-000003");

        SampleProcess.Result replay = await ReplayAsync(3, "--checkpoint", other);
        Assert.Equal(2, replay.ExitCode);
        Assert.Contains("Differs: The weights are not those that the step began with", replay.Output, StringComparison.Ordinal);
        Assert.Contains("Differs: The gradient norm of update 1 was", replay.Output, StringComparison.Ordinal);
        Assert.Equal(2, (await ReplayAsync(3, "--checkpoint", other, "--prompt", "0")).ExitCode);

        (await ReplayAsync(2)).Failed("checkpoint-000001", "Steps that can be replayed: 1, 3.");
        (await ReplayAsync(9)).Failed("its steps: 1-3.");
        (await ReplayAsync(3, "--prompt", "2")).Failed("has no prompt '2'; its prompts are 0 to 1");
        (await SampleProcess.RunAsync("Gsm8k", "replay", "--output", _folder.Path, "--step", "1")).Failed("There is no flight record at");
        (await SampleProcess.RunAsync("Gsm8k", "replay", "--step", "1")).Failed("--output is missing");
    }

    // A file downloaded any model that it named, with the user's token, and ended in a FormatException where a number was none.
    [Theory]
    [InlineData("Run.Model", "somebody/elses-model", "names the model 'somebody/elses-model', which is no folder on this machine")]
    [InlineData("Run.Model", "//server/share", "which is no folder on this machine")]
    [InlineData("Run.Model", "a\u001b[31m/b", @"names the model 'a\u{1B}[31m/b'")]
    [InlineData("Run.LoraRank", "four", "Run.LoraRank = 'four', which is not a number")]
    [InlineData("Run.LoraRank", "99999999999", "Run.LoraRank = '99999999999', which is not a number")]
    [InlineData("Run.LoraAlpha", "\u001b", @"Run.LoraAlpha = '\u{1B}', which is not a number")]
    public async Task Replay_does_not_trust_what_a_record_says_of_the_model(string name, string text, string message)
    {
        var tokenizer = new CharTokenizer("abcdefgh");
        using var policy = new BigramPolicy(tokenizer.VocabularySize, seed: 11);
        IRewardFunction reward = RewardFunction.Create(
            "length", (Prompt _, Completion completion) => new Reward(completion.TokenIds.Count));
        using var optimizer = new GrpoOptimizer(
            policy, new PolicyGroupSampler(tokenizer, new PlainTemplate()), reward, new GrpoOptions { GroupSize = 2, PromptsPerStep = 1 });
        using (var recorder = new FlightRecorder(Output, new Dictionary<string, string> { [name] = text }))
        {
            await new GrpoTrainer(
                optimizer, [Prompt.Create("p", "abc")], new TrainerOptions { Steps = 1 }, new TrainerServices { Callbacks = [recorder] })
                .TrainAsync();
        }

        (await ReplayAsync(1)).Failed(message);
    }

    public void Dispose() => _folder.Dispose();

    // The best one is not kept besides: it would be a checkpoint more.
    private async Task TrainAsync(params string[] settings) => (await SampleProcess.RunAsync("Gsm8k",
    [
        "--steps", "3", "--record", "true", "--checkpoint-every", "1", "--keep-best", "false", "--prompts-per-step", "2", "--eval-count",
        "4",
        "--max-completion-tokens", "40", "--output", Output, .. settings,
    ])).Succeeded();

    private Task<SampleProcess.Result> ReplayAsync(int step, params string[] options) =>
        SampleProcess.RunAsync(
            "Gsm8k",
            ["replay", "--output", Output, "--step", step.ToString(System.Globalization.CultureInfo.InvariantCulture), .. options]);
}
