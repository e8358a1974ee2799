using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>init</c>, which creates a checkpoint of random weights in the shape of a real model. Use it to try a run, its memory and
/// its speed before downloading gigabytes.
/// </summary>
internal static class InitCommand
{
    public static Command Create()
    {
        var shape = new Option<string>("--shape")
        {
            Description = $"The shape of the model: one of {string.Join(", ", ModelShapes.Names)}.",
            DefaultValueFactory = _ => "tiny",
        };
        shape.AcceptOnlyFromAmong([.. ModelShapes.Names]);
        var tokenizer = new Option<string>("--tokenizer")
        {
            Description = "The folder of the tokenizer, with vocab.json and merges.txt or tokenizer.json.",
            DefaultValueFactory = _ => Defaults.TinyModel,
        };
        var output = new Option<string>("--output") { Description = "The folder for the checkpoint.", Required = true };
        var seed = new Option<ulong>("--seed") { Description = "The seed of the weights.", DefaultValueFactory = _ => 1 };
        var command = new Command("init", "Creates a checkpoint with random weights.") { shape, tokenizer, output, seed };
        command.SetAction(parsed =>
        {
            QwenTokenizer loaded = QwenTokenizer.Load(parsed.GetRequiredValue(tokenizer));
            string folder = parsed.GetRequiredValue(output);
            Directory.CreateDirectory(folder);
            using var policy = new QwenPolicy(
                CausalLM.Initialize(ModelShapes.Of(parsed.GetRequiredValue(shape), loaded), parsed.GetValue(seed)), loaded.Save);
            policy.Save(folder);
            Console.WriteLine($"{policy.Module.parameters().Sum(parameter => parameter.numel()):N0} random weights written to {folder}.");
        });
        return command;
    }
}
