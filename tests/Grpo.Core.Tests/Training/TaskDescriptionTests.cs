using Grpo.Checkpoints;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Training;

/// <summary>The file that tells how a model was prompted, and the checkpoints that carry it.</summary>
public sealed class TaskDescriptionTests : IDisposable
{
    private static readonly TaskDescription Task = new()
    {
        SystemPrompt = "Use <answer> tags.\n\"Now\" ü 中",
        AnswerFormat = "TagAnswer",
        MaxPromptTokens = 1024,
        MaxCompletionTokens = 128,
        Fields = new Dictionary<string, string> { ["unit"] = "€" },
    };

    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void Read_gives_what_Write_wrote()
    {
        Assert.Null(TaskDescription.Read(_folder.Path));
        foreach (TaskDescription task in new[]
        {
            Task,
            new TaskDescription { SystemPrompt = null },
            Task with { MaxPromptTokens = 1, Fields = new Dictionary<string, string>() },
        })
        {
            task.Write(_folder.Path);
            TaskDescription read = TaskDescription.Read(_folder.Path)!;
            Assert.Equal(task.Fields, read.Fields);
            Assert.Equal(task, read with { Fields = task.Fields });
        }
    }

    [Fact]
    public void Write_gives_a_file_that_a_person_can_read()
    {
        Task.Write(_folder.Path);
        Assert.Equal(
            """
            {
              "format": 1,
              "system_prompt": "Use <answer> tags.\n\"Now\" ü 中",
              "answer_format": "TagAnswer",
              "max_prompt_tokens": 1024,
              "max_completion_tokens": 128,
              "fields": {
                "unit": "€"
              }
            }
            """.ReplaceLineEndings("\n"),
            File.ReadAllText(_folder[TaskDescription.FileName]));
    }

    [Theory]
    [InlineData("", "does not describe a task")]
    [InlineData("null", "it holds null.")]
    [InlineData("[]", "does not describe a task")]
    [InlineData("""{"format": 1}""", "system_prompt")]
    [InlineData("""{"format": 2, "system_prompt": "s"}""", "it has format 2; this version reads format 1.")]
    [InlineData("""{"format": 1, "system_prompt": 5}""", "does not describe a task")]
    [InlineData("""{"format": 1, "system_prompt": "s", "system_prompt": "t"}""", "does not describe a task")]
    [InlineData("""{"format": 1, "system_prompt": "s", "max_prompt_tokens": 0}""", "max_prompt_tokens is 0; it must be 1 or more.")]
    [InlineData(
        """{"format": 1, "system_prompt": "s", "max_completion_tokens": -7}""", "max_completion_tokens is -7; it must be 1 or more.")]
    [InlineData("""{"format": 1, "system_prompt": "s", "max_completion_tokens": 1e300}""", "does not describe a task")]
    [InlineData("""{"format": 1, "system_prompt": "s", "fields": null}""", "does not describe a task")]
    [InlineData("""{"format": 1, "system_prompt": "s", "fields": {"a": null}}""", "a field is null.")]
    public void Read_names_a_file_that_is_damaged(string json, string problem)
    {
        File.WriteAllText(_folder[TaskDescription.FileName], json);
        string message = Assert.Throws<InvalidDataException>(() => TaskDescription.Read(_folder.Path)).Message;
        Assert.Contains(TaskDescription.FileName, message, StringComparison.Ordinal);
        Assert.Contains(problem, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Neither_Read_nor_Write_takes_a_file_over_a_mebibyte()
    {
        TaskDescription task = Task with { SystemPrompt = new string('x', 1 << 20) };
        Assert.Contains(
            "the limit is 1048576", Assert.Throws<InvalidOperationException>(() => task.Write(_folder.Path)).Message,
            StringComparison.Ordinal);
        Assert.Null(TaskDescription.Read(_folder.Path));
        File.WriteAllText(_folder[TaskDescription.FileName], new string(' ', (1 << 20) + 1));
        Assert.Contains(
            "has 1048577 bytes", Assert.Throws<InvalidDataException>(() => TaskDescription.Read(_folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_checkpoint_of_a_run_carries_the_task()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var services = new TrainerServices { Checkpoints = new DirectoryCheckpointStore(_folder.Path), Task = Task };
        await new GrpoTrainer(optimizer, Toy.Prompts, new TrainerOptions { Steps = 2, CheckpointEvery = 1 }, services).TrainAsync();
        string[] checkpoints = Directory.GetDirectories(_folder.Path);

        Assert.Equal(2, checkpoints.Length);
        Assert.All(checkpoints, checkpoint => Assert.Equal(Task.SystemPrompt, TaskDescription.Read(checkpoint)?.SystemPrompt));
        // As one of its files: damaged, the checkpoint is not taken.
        File.AppendAllText(Path.Combine(_folder["checkpoint-000002"], TaskDescription.FileName), " ");
        Assert.Equal(_folder["checkpoint-000001"], await new DirectoryCheckpointStore(_folder.Path).FindLatestAsync());
    }

    [Fact]
    public async Task Every_checkpoint_of_supervised_training_carries_the_task()
    {
        using BigramPolicy policy = Toy.Policy();
        var services = new SupervisedServices { Checkpoints = new DirectoryCheckpointStore(_folder.Path), Task = Task };
        var trainer = new SupervisedTrainer(
            policy, SupervisedTrainerTests.Data(new SupervisedExample(Prompt.Create("e", "a"), "b")),
            new SupervisedOptions { Steps = 2, BatchSize = 1, WarmupSteps = 0, CheckpointEvery = 1 }, services);
        await foreach (SupervisedReport _ in trainer.RunAsync())
        {
        }

        Assert.Equal(
            2, Directory.GetDirectories(_folder.Path).Count(checkpoint => TaskDescription.Read(checkpoint)?.AnswerFormat == "TagAnswer"));
    }

    public void Dispose() => _folder.Dispose();
}
