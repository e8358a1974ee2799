using System.Globalization;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Optimization;
using Grpo.Planning;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>Compares the plan of <see cref="MemoryPlanner"/> with the measured peak of a process after two steps.</summary>
internal static class PlanAgainstPeak
{
    /// <summary>Measures the planned and the actual peak of a case in a new process.</summary>
    /// <returns>The two peaks in bytes.</returns>
    public static (long Planned, long Measured) Measure(PlanCase run)
    {
        DirectoryInfo? folder = run.FourBitBase ? Directory.CreateTempSubdirectory("grpo-plan-") : null;
        try
        {
            // Only a model that is loaded is never in memory as a whole.
            string[] arguments = folder is null ? ["--plan-of", run.Name] : ["--plan-of", run.Name, "--folder", folder.FullName];
            if (folder is not null)
            {
                ChildProcess.LastLine([.. arguments, "--write"]);
            }

            string[] numbers = ChildProcess.LastLine(arguments).Split(' ');
            return (long.Parse(numbers[0], CultureInfo.InvariantCulture), long.Parse(numbers[1], CultureInfo.InvariantCulture));
        }
        finally
        {
            folder?.Delete(recursive: true);
        }
    }

    /// <summary>Writes the checkpoint of a case with random weights, in a process of its own.</summary>
    public static void Write(PlanCase run, string folder)
    {
        using CausalLM model = CausalLM.Initialize(run.Shape.Config, seed: 1);
        QwenWeights.Save(model, folder, ScalarType.BFloat16);
    }

    /// <summary>Runs a case in the new process and prints both peaks as the last line.</summary>
    /// <param name="run">The case.</param>
    /// <param name="folder">The checkpoint of a base in 4 bits; null if the weights are random.</param>
    public static void Run(PlanCase run, string? folder)
    {
        if (!run.KeepsFreedMemory)
        {
            TorchBackend.ReturnFreedMemory();
        }

        CausalLM model = folder is null ? CausalLM.Initialize(run.Shape.Config, seed: 1) : QwenWeights.LoadInFourBits(folder);
        using var policy = new QwenPolicy(model) { Int8Rollouts = run.Int8Rollouts };
        policy.Model.GradientCheckpointing = run.GradientCheckpointing;
        policy.Model.ComputeType = run.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float32;
        if (run.Lora is { } lora)
        {
            policy.Model.AddAdapter(lora);
        }

        bool withReference = run.Options.KlCoefficient != 0;
        using QwenReferenceModel? copy = withReference && run.Lora is null ? QwenReferenceModel.CopyOf(policy) : null;
        IReferenceModel? reference = copy ?? (withReference ? (IReferenceModel)new AdapterOffReference(policy) : null);
        var text = new RandomText(run.Shape.Config.VocabularySize);
        using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(text, text), new HashReward(), run.Options, reference);
        MemoryPlan plan = optimizer.Explain().Memory!;
        Console.WriteLine(plan);
        for (int step = 0; step < 2; step++)
        {
            IReadOnlyList<Prompt> prompts = text.Prompts(
                run.Options.PromptsPerStep, run.Options.Sampling.MaxPromptTokens, seed: step, uneven: true);
            Print("loaded", step);
            IReadOnlyList<RolloutGroup> groups = optimizer.RolloutAsync(prompts).GetAwaiter().GetResult();
            Print("rollout", step);
            optimizer.Update(optimizer.ScoreAsync(groups).GetAwaiter().GetResult());
            Print("update", step);
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{plan.Peak} {ChildProcess.Peak()}"));
    }

    private static void Print(string after, int step) =>
        Console.WriteLine(
            string.Create(CultureInfo.InvariantCulture, $"step {step}, peak after {after}: {ChildProcess.Peak() / 1e6:N0} MB"));
}
