using System.Diagnostics;
using System.Globalization;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Benchmarks;

/// <summary>
/// Measures the peak memory of updates, each in a new process, because a process does not return all freed memory to the system.
/// </summary>
internal static class PeakMemory
{
    private const string Returned = ", freed memory returned";

    /// <summary>The names of all measurements.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "update", "update, checkpointing", "update with reference", "update with reference, checkpointing",
        "update with reference, bfloat16", $"update with reference{Returned}", "update with LoRA r=16", $"update with LoRA r=16{Returned}",
        $"log-probs in tiles{Returned}", $"log-probs of all logits{Returned}",
    ];

    /// <summary>Starts this program in a new process for one of <see cref="Names"/>.</summary>
    /// <returns>The peak memory in bytes.</returns>
    public static long Measure(string name, string shape) =>
        long.Parse(ChildProcess.LastLine("--shape", shape, "--peak-of", name), CultureInfo.InvariantCulture);

    /// <summary>Runs a measurement in the new process and returns the peak in bytes.</summary>
    public static long Run(string name, Shape shape)
    {
        if (name.EndsWith(Returned, StringComparison.Ordinal))
        {
            TorchBackend.ReturnFreedMemory();
        }

        if (name.StartsWith("log-probs", StringComparison.Ordinal))
        {
            IReadOnlyList<Case> cases = PieceCases.LogProbs(2048);
            Case piece = cases[name.Contains("tiles", StringComparison.Ordinal) ? 1 : 0];
            using (var scope = TensorScope.Begin())
            {
                rand(8, 8).mm(rand(8, 8)); // memory that libtorch always needs
            }

            long before = ChildProcess.Peak();
            piece.Run();
            return ChildProcess.Peak() - before;
        }

        using var policy = new QwenPolicy(CausalLM.Initialize(shape.Config, seed: 1));
        policy.Model.ComputeType = name.Contains("bfloat16", StringComparison.Ordinal) ? ScalarType.BFloat16 : ScalarType.Float32;
        using QwenReferenceModel? reference = name.Contains("reference", StringComparison.Ordinal)
            ? QwenReferenceModel.CopyOf(policy)
            : null;
        IReferenceModel? lora = null;
        if (name.Contains("LoRA", StringComparison.Ordinal))
        {
            policy.Model.AddAdapter(new LoraOptions());
            lora = new AdapterOffReference(policy);
        }

        policy.Model.GradientCheckpointing = name.EndsWith("checkpointing", StringComparison.Ordinal);
        var text = new RandomText(shape.Config.VocabularySize);
        using var optimizer = new GrpoOptimizer(policy, new PolicyGroupSampler(text, text), new HashReward(), new GrpoOptions
        {
            LearningRate = 1e-9,
            KlCoefficient = reference is null && lora is null ? 0 : 0.04,
            Sampling = new SamplingOptions { MaxCompletionTokens = 128 },
        }, reference ?? lora);
        IReadOnlyList<ScoredGroup> groups = text.Groups(groups: 1, groupSize: 8, promptLength: 64, completionLength: 64);
        optimizer.Update(groups);
        optimizer.Update(groups);
        optimizer.Update(groups);
        long start = Stopwatch.GetTimestamp();
        optimizer.Update(groups);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.WriteLine(FormattableString.Invariant($"{seconds:F3}"));
        return ChildProcess.Peak();
    }
}
