using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>Supervised training on the worked solutions of a GSM8K file, in the form that the training reward will ask for.</summary>
internal static class SftCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "Folder or hub id.", Required = true };
        var dataset = new Option<string>("--dataset") { Description = "jsonl or parquet file with worked solutions.", Required = true };
        var held = new Option<string?>("--eval-dataset") { Description = "File whose loss is measured and that is not learned from." };
        var evalCount = new Option<int>("--eval-count") { Description = "Rows of it.", DefaultValueFactory = _ => 256 };
        var format = new Option<AnswerFormat?>("--answer-format")
        {
            Description = "How answers are marked; default as the model's task.json says, else TagAnswer.",
        };
        var system = new Option<string?>("--system-prompt")
        {
            Description = "System message of every prompt; default that of the model's task.json, else one that asks for the format.",
        };
        var device = new Option<string>("--device") { Description = "cpu, cuda or cuda:n.", DefaultValueFactory = _ => "cpu" };
        var output = new Option<string>("--output") { Description = "Folder for the trained model; checkpoints go below it.", Required = true };
        var run = new SupervisedRun(new SupervisedOptions { MicroBatchSize = 8 });
        var command = new Command("sft", "Trains a model to imitate worked solutions: the cold start before GRPO.")
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
            var services = new SupervisedServices
            {
                HeldOut = heldOut,
                Checkpoints = SupervisedRun.Checkpoints(options, folder),
                Task = task,
            };
            var trainer = new SupervisedTrainer(
                qwen.Policy, qwen.Tokenizer, qwen.ChatTemplate, examples, options, services, new ConsoleWarnings<SupervisedTrainer>());
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
