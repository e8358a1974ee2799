using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>The sample that goes on in the folder of a run with settings that are no options of the library.</summary>
[Trait("Speed", "Slow")]
public sealed class SampleResumeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task Train_refuses_other_rollouts_and_another_answer_format()
    {
        (await TrainAsync(steps: "1")).Succeeded();
        (await TrainAsync("2", "--int8-rollouts", "true"))
            .Failed("model.int8 rollouts was False and is True. Use the parts of the checkpoint, or another folder");
        (await TrainAsync("2", "--answer-format", "Boxed"))
            .Failed("reward.Gsm8k.answer format was TagAnswer and is Boxed. Use the parts of the checkpoint");
        Assert.Single(Directory.GetDirectories(_folder["checkpoints"]));
    }

    public void Dispose() => _folder.Dispose();

    private Task<SampleProcess.Result> TrainAsync(string steps, params string[] settings) => SampleProcess.RunAsync("Gsm8k",
    [
        "--steps", steps, "--prompts-per-step", "2", "--eval-count", "2", "--max-completion-tokens", "16", "--output", _folder.Path,
        .. settings,
    ]);
}
