using System.CommandLine;
using Grpo.IO;
using Grpo.Models.Qwen;
using Grpo.Training;

namespace Grpo.Samples.Gsm8k;

/// <summary>The command <c>export</c>, which writes a trained model for vLLM, transformers, llama.cpp, Ollama or LLamaSharp.</summary>
internal static class ExportCommand
{
    private static readonly (string Name, ExportType Type)[] Types =
    [
        ("F32", ExportType.Float32), ("F16", ExportType.Float16), ("BF16", ExportType.BFloat16), ("Q8_0", ExportType.Q8),
    ];

    public static Command Create()
    {
        var model = new Option<string>("--model")
        {
            Description = "The folder of a checkpoint or adapter, or a hub id.",
            DefaultValueFactory = _ => Defaults.TinyModel,
        };
        var adapter = new Option<string?>("--adapter")
        {
            Description = "The folder of an adapter to merge. Not needed if --model is an adapter that names its base.",
        };
        var output = new Option<string>("--output") { Description = "The folder, or a file that ends with .gguf.", Required = true };
        var format = new Option<string?>("--format")
        {
            Description = "safetensors or gguf. Default: gguf if --output ends with .gguf, else safetensors.",
        };
        format.AcceptOnlyFromAmong("safetensors", "gguf");
        var type = new Option<string?>("--type")
        {
            Description = "F32, F16, BF16 or, for gguf only, Q8_0. Default: BF16 for safetensors, F16 for gguf.",
        };
        type.AcceptOnlyFromAmong([.. Types.Select(entry => entry.Name)]);
        var name = new Option<string?>("--name") { Description = "The name of the model in a GGUF file. Default: that of the source." };
        var template = new Option<string?>("--chat-template")
        {
            Description = "The chat template that replaces the model's own: qwen2.5, chatml, or the path of a file.",
        };
        var overwrite = new Option<bool>("--overwrite") { Description = "Replaces a model that exists there." };
        var command = new Command("export", "Writes a model for other programs. An adapter is merged into the weights.")
        {
            model, adapter, output, format, type, name, template, overwrite,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string target = parsed.GetRequiredValue(output);
            bool isGguf = parsed.GetValue(format) is { } given
                ? given == "gguf"
                : target.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
            var options = new ExportOptions
            {
                Format = isGguf ? ExportFormat.Gguf : ExportFormat.Safetensors,
                Type = parsed.GetValue(type) is { } typeName ? Types.First(entry => entry.Name == typeName).Type : null,
                Adapter = parsed.GetValue(adapter),
                Name = parsed.GetValue(name),
                ChatTemplate = new RunSettings { ChatTemplate = parsed.GetValue(template) }
                    .WithTemplate(new QwenLoadOptions()).ChatTemplate,
                Overwrite = parsed.GetValue(overwrite),
                Progress = new DownloadProgress(),
            };
            await RunAsync(parsed.GetRequiredValue(model), target, options, cancellationToken);
            return 0;
        });
        return command;
    }

    private static async Task RunAsync(string model, string output, ExportOptions options, CancellationToken cancellationToken)
    {
        ExportResult result = await ModelExport.SaveAsync(model, output, options, cancellationToken);
        foreach (string warning in result.Warnings)
        {
            Console.WriteLine($"Note: {TerminalText.EscapeLine(warning)}");
        }

        if (options.Format == ExportFormat.Safetensors)
        {
            CopyTask(options.Adapter ?? model, result.Path);
        }

        string typeName = Types.First(entry => entry.Type == result.Type).Name;
        Console.WriteLine(FormattableString.Invariant(
            $"{result.TensorCount} tensors in {typeName}, {result.Bytes / 1e6:N1} MB, written to {TerminalText.EscapeLine(result.Path)}"));
    }

    // The description of the task tells eval and generate how the model was prompted in training. That of a replaced model would mislead
    // them.
    private static void CopyTask(string source, string target)
    {
        string task = Path.Combine(source, TaskDescription.FileName), copy = Path.Combine(target, TaskDescription.FileName);
        if (File.Exists(task))
        {
            File.Copy(task, copy, overwrite: true);
        }
        else
        {
            File.Delete(copy);
        }
    }
}
