using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>sft</c>: supervised training on the worked solutions of a GSM8K file, in the form that the reward expects.
/// </summary>
internal static class SftCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model: a folder or a hub id.", Required = true };
        var dataset = new Option<string>("--dataset")
        {
            Description = "The training data: a jsonl or parquet file with worked solutions.",
            Required = true,
        };
        var held = new Option<string?>("--eval-dataset")
        {
            Description = "The held-out data: a file whose loss is measured but not trained on.",
        };
        var evalCount = new Option<int>("--eval-count") { Description = "The number of held-out rows.", DefaultValueFactory = _ => 256 };
        var format = new Option<AnswerFormat?>("--answer-format")
        {
            Description = "The format of the answers. Default: the format in the model's task.json, or else TagAnswer.",
        };
        var system = new Option<string?>("--system-prompt")
        {
            Description =
                "The system message of every prompt. Default: the one in the model's task.json, or else one that asks for the format.",
        };
        var device = new Option<string>("--device") { Description = "The device: cpu, cuda or cuda:n.", DefaultValueFactory = _ => "cpu" };
        var output = new Option<string>("--output")
        {
            Description = "The folder for the trained model, with its checkpoints in a subfolder.",
            Required = true,
        };
        var run = new SupervisedRun(new SupervisedOptions { MicroBatchSize = 8 });
        var command = new Command("sft", "Trains a model to imitate worked solutions, as a cold start before GRPO.")
        {
            model, dataset, held, evalCount, format, system, device, output,
        };
        run.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            SupervisedOptions options = run.Read(parsed);
            string name = parsed.GetRequiredValue(model);
            PromptForm form = PromptForm.Load(name, parsed.GetValue(format), parsed.GetValue(system));
            foreach (string note in form.Notes(name, sampling: null))
            {
                Console.Error.WriteLine($"Note: {note}");
            }

            string folder = parsed.GetRequiredValue(output);
            IReadOnlyList<SupervisedExample> examples =
                await ExamplesAsync("--dataset", parsed.GetRequiredValue(dataset), "train", form, cancellationToken);
            IReadOnlyList<SupervisedExample> heldOut = parsed.GetValue(held) is { Length: > 0 } file
                ? [.. (await ExamplesAsync("--eval-dataset", file, "test", form, cancellationToken)).Take(parsed.GetValue(evalCount))]
                : [];
            using QwenPretrained qwen = await QwenPretrained.LoadAsync(
                name,
                new QwenLoadOptions
                {
                    Device = parsed.GetRequiredValue(device),
                    Progress = new DownloadProgress(),
                    Logger = new ConsoleWarnings<QwenPretrained>(),
                },
                cancellationToken);
            TaskDescription task = form.Describe(form.ForOthers, sampling: null);
            var data = new SupervisedData(examples, qwen.Tokenizer, qwen.ChatTemplate) { HeldOut = heldOut };
            var services = new SupervisedServices { Checkpoints = SupervisedRun.Checkpoints(options, folder), Task = task };
            var trainer = new SupervisedTrainer(qwen.Policy, data, options, services, new ConsoleWarnings<SupervisedTrainer>());
            Directory.CreateDirectory(folder);
            await SupervisedRun.TrainAsync(trainer, options, cancellationToken);
            qwen.Policy.Save(folder);
            task.Write(folder);
            Console.WriteLine($"The model is in {folder}.");
            return 0;
        });
        return command;
    }

    private static async Task<IReadOnlyList<SupervisedExample>> ExamplesAsync(
        string option, string source, string split, PromptForm form, CancellationToken cancellationToken) =>
        [.. (await DataSource.LoadAsync(option, source, split, form.ForOthers, cancellationToken)).Select(
            prompt => new SupervisedExample(prompt, GoldCompletion.Of(prompt, form.Format)))];
}
