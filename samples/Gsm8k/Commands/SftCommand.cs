using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Rewards;

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
        var format = new Option<AnswerFormat>("--answer-format") { Description = "How answers are marked.", DefaultValueFactory = _ => AnswerFormat.TagAnswer };
        var device = new Option<string>("--device") { Description = "cpu, cuda or cuda:n.", DefaultValueFactory = _ => "cpu" };
        var output = new Option<string>("--output") { Description = "Folder for the trained model; checkpoints go below it.", Required = true };
        var run = new SupervisedRun(new SupervisedOptions { MicroBatchSize = 8 });
        var command = new Command("sft", "Trains a model to imitate worked solutions: the cold start before GRPO.")
        {
            model, dataset, held, evalCount, format, device, output,
        };
        run.AddTo(command);
        command.SetAction(async (parsed, cancellationToken) =>
        {
            SupervisedOptions options = run.Read(parsed);
            AnswerFormat marks = parsed.GetValue(format);
            string folder = parsed.GetRequiredValue(output);
            IReadOnlyList<SupervisedExample> examples = Examples(parsed.GetRequiredValue(dataset), marks);
            IReadOnlyList<SupervisedExample> heldOut = parsed.GetValue(held) is { Length: > 0 } file ? [.. Examples(file, marks).Take(parsed.GetValue(evalCount))] : [];
            using QwenPretrained qwen = await QwenPretrained.LoadAsync(
                parsed.GetRequiredValue(model), new QwenLoadOptions { Device = parsed.GetRequiredValue(device), Progress = new DownloadProgress() }, cancellationToken);
            Directory.CreateDirectory(folder);
            var services = new SupervisedServices { HeldOut = heldOut, Checkpoints = SupervisedRun.Checkpoints(options, folder) };
            var trainer = new SupervisedTrainer(
                qwen.Policy, qwen.Tokenizer, qwen.ChatTemplate, examples, options, services, new ConsoleWarnings<SupervisedTrainer>());
            await SupervisedRun.TrainAsync(trainer, options, cancellationToken);
            qwen.Policy.Save(folder);
            Console.WriteLine($"The model is in {folder}.");
            return 0;
        });
        return command;
    }

    private static IReadOnlyList<SupervisedExample> Examples(string file, AnswerFormat format) =>
        [.. Gsm8kDataset.Load(file, Gsm8kPrompts.For(format)).Select(prompt => new SupervisedExample(prompt, GoldCompletion.Of(prompt, format)))];
}
