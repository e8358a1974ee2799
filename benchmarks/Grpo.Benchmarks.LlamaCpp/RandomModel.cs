using System.Diagnostics;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;

namespace Grpo.Benchmarks.LlamaCpp;

/// <summary>A model of a shape with random weights as GGUF files, which are written once and kept.</summary>
/// <param name="Shape">The shape of the model.</param>
/// <param name="Folder">The folder of the files.</param>
internal sealed record RandomModel(Shape Shape, string Folder)
{
    /// <summary>Returns the path of the file with matrices of a type. If it is missing, writes it in a new process.</summary>
    /// <remarks>A process of its own, because libtorch would count in this one's peak memory.</remarks>
    public string Require(ExportType type)
    {
        string path = PathOf(type);
        if (!File.Exists(path))
        {
            string program = Path.ChangeExtension(
                typeof(RandomModel).Assembly.Location, OperatingSystem.IsWindows() ? ".exe" : null);
            var start = new ProcessStartInfo(program, ["--shape", Shape.Name, "--folder", Folder, "--export", $"{type}"])
            {
                RedirectStandardInput = true, // the lines are for this process
            };
            using Process process = Process.Start(start)
                ?? throw new InvalidOperationException("The process of the export could not be started.");
            process.WaitForExit();
            if (process.ExitCode != 0)
            {
                throw new InvalidOperationException($"The export of '{path}' ended with exit code {process.ExitCode}.");
            }
        }

        return path;
    }

    /// <summary>Writes the file with matrices of a type.</summary>
    public void Export(ExportType type)
    {
        TorchBackend.EnsureAvailable();
        DirectoryInfo checkpoint = Directory.CreateTempSubdirectory("grpo-benchmarks-");
        try
        {
            using (CausalLM model = CausalLM.Initialize(Shape.Config, seed: 1))
            {
                QwenWeights.Save(model, checkpoint.FullName);
            }

            // The tokenizer has fewer tokens than the model. The export pads them, and no case tokenizes text.
            foreach (string file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "tokenizer")))
            {
                if (Path.GetFileName(file) is not ("config.json" or "task.json"))
                {
                    File.Copy(file, Path.Combine(checkpoint.FullName, Path.GetFileName(file)));
                }
            }

            ModelExport.SaveAsync(
                checkpoint.FullName, PathOf(type), new ExportOptions { Format = ExportFormat.Gguf, Type = type, Overwrite = true })
                .GetAwaiter().GetResult();
        }
        finally
        {
            checkpoint.Delete(recursive: true);
        }
    }

    private string PathOf(ExportType type) => Path.Combine(Folder, $"{Shape.Name}-{type}.gguf");
}
