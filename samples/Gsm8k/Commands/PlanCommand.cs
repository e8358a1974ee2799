using System.CommandLine;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Planning;
using Grpo.Optimization;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The command <c>plan</c>, which estimates the memory of a run from the model's configuration alone and says whether it fits.
/// </summary>
internal static class PlanCommand
{
    public static Command Create()
    {
        var memory = new Option<string?>("--memory")
        {
            Description = "The memory to fit into, such as 24GB, 24GiB or 24000MB. Default: this machine's main memory.",
            HelpName = "amount",
        };
        var command = new Command(
            "plan",
            "Prints how much memory training needs and whether it fits. --model may also be the name of a shape: "
            + $"{string.Join(", ", ModelShapes.Names)}.")
        {
            memory,
        };
        Settings.AddTo(command, "Run", "Grpo");
        command.SetAction((parsed, cancellationToken) => RunAsync(Settings.Read(parsed), parsed.GetValue(memory), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Settings settings, string? memory, CancellationToken cancellationToken)
    {
        DeviceType device = TypeOf(settings.Run.Device);
        if (memory is null && device != DeviceType.CPU)
        {
            throw new ArgumentException(
                $"How much memory {settings.Run.Device} has is not known here: give it with --memory, such as 24GB.");
        }

        long available = memory is null ? MemoryPlanner.MachineBytes() : MemorySize.Parse(memory);
        QwenMemory model = await ModelAsync(settings.Run, cancellationToken);
        MemoryVerdict verdict = MemoryPlanner.Judge(settings.Grpo, model, available, device);
        Console.WriteLine(verdict.Plan);
        Console.WriteLine($"learning rate {settings.Grpo.ChooseLearningRate(trainsAdapter: model.Lora is not null)}");
        if (device == DeviceType.CPU)
        {
            Console.WriteLine($"kernels {QwenPolicy.DescribeKernels(model, CPU)}");
        }

        Console.WriteLine(verdict);
        return verdict.Fits ? 0 : ExitCodes.DoesNotFit;
    }

    // A folder of that name comes first, because train would load it.
    private static async Task<QwenMemory> ModelAsync(RunSettings run, CancellationToken cancellationToken)
    {
        string model = run.Model is { Length: > 0 } given ? given : Defaults.TinyModel;
        QwenLoadOptions options = run.WithTemplate(new QwenLoadOptions
        {
            Lora = run.ToLora(),
            FreezeEmbeddings = run.FreezeEmbeddings,
            GradientCheckpointing = run.GradientCheckpointing,
            ComputeType = run.ToComputeType(),
            Int8Rollouts = run.Int8Rollouts,
            FourBitBase = run.FourBitBase,
            Progress = new DownloadProgress(),
            Logger = new ConsoleWarnings<QwenPretrained>(),
        });
        return ModelShapes.IsName(model) && !Directory.Exists(model)
            ? new QwenMemory(ModelShapes.Of(model, QwenTokenizer.Load(Defaults.TinyModel)))
            {
                Lora = options.Lora,
                FreezeEmbeddings = options.FreezeEmbeddings,
                GradientCheckpointing = options.GradientCheckpointing,
                ComputeType = options.ComputeType ?? ScalarType.Float32,
                Int8Rollouts = options.Int8Rollouts,
                FourBitBase = options.FourBitBase,
            }
            : await QwenMemory.OfAsync(model, options, cancellationToken);
    }

    // A plan for a device needs neither the device nor its libraries.
    private static DeviceType TypeOf(string device) => device.Split(':')[0] switch
    {
        "cpu" => DeviceType.CPU,
        "cuda" => DeviceType.CUDA,
        _ => throw new ArgumentException($"Device is '{device}' but must be cpu, cuda or cuda:n."),
    };
}
