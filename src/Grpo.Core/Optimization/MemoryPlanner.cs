using System.Globalization;
using Grpo.Planning;
using Grpo.Tensors;
using TorchSharp;

namespace Grpo.Optimization;

/// <summary>Works out before training how much memory it needs, from the options and the shape of the model.</summary>
/// <remarks>
/// Every prompt and completion is taken to be as long as the options allow, so a real run needs less. Within 10 % of the peaks of
/// most processes that were measured on a CPU (docs/memory.md); on CUDA the same sum without process and heap, which has not been measured.
/// </remarks>
public static class MemoryPlanner
{
    /// <summary>
    /// What a process has on a CPU before the first weight: .NET, libtorch with its kernels, and the buffers of its matrix products.
    /// </summary>
    public const long ProcessBytes = 250_000_000;

    /// <summary>Blocks from this size on, bytes, go back to the system when they are freed: what this library sets glibc to.</summary>
    /// <value>32 MiB, or 1 MiB after <see cref="TorchBackend.ReturnFreedMemory"/>.</value>
    public static long LargeBlock => NativeEnvironment.LargeBlock;

    // Of the small blocks of an update, as measured: blocks of many sizes come and go, and what is new does not fit the gaps
    // of what has gone.
    private const int GapsPerBlock = 3;

    /// <summary>What the run is going to need.</summary>
    /// <param name="options">Sizes and limits of the run; valid.</param>
    /// <param name="model">The shape of the model.</param>
    /// <param name="device">Where it is going to be.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message lists all of them.</exception>
    public static MemoryPlan Plan(GrpoOptions options, IMemoryModel model, DeviceType device = DeviceType.CPU)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(model);
        if (options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        return Build(PassSizes.Of(options, model.SharesPrompts), model, device);
    }

    /// <summary>Whether that fits, and if not, what would.</summary>
    /// <param name="options">Sizes and limits of the run; valid.</param>
    /// <param name="model">The shape of the model.</param>
    /// <param name="available">Bytes of memory.</param>
    /// <param name="device">Where the model is going to be.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message lists all of them.</exception>
    public static MemoryVerdict Judge(GrpoOptions options, IMemoryModel model, long available, DeviceType device = DeviceType.CPU)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(available, 1);
        MemoryPlan plan = Plan(options, model, device);
        if (plan.Peak <= available)
        {
            return new MemoryVerdict { Plan = plan, Available = available, Remedies = [] };
        }

        var search = new RemedySearch(options, device, available);
        IReadOnlyList<MemoryRemedy> remedies = search.Find(model);
        return new MemoryVerdict
        {
            Plan = plan,
            Available = available,
            Remedies = remedies,
            Least = remedies.Count == 0 ? search.Least(model) : null,
        };
    }

    /// <summary>Main memory that this process may use, bytes: the machine's, or less where the system limits the process.</summary>
    public static long MachineBytes() => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    internal static MemoryPlan Build(MemorySizes sizes, IMemoryModel model, DeviceType device)
    {
        MemoryNeeds needs = model.NeedsOf(sizes with { Device = device });
        long process = device == DeviceType.CPU ? ProcessBytes : 0;
        long reference = sizes.WithReference ? needs.Reference : 0;
        bool elsewhere = sizes.Moments == OptimizerMoments.Host && device != DeviceType.CPU;
        long moments = elsewhere ? 0 : AdamWMoments.BytesOf(sizes.Moments, needs.TrainedParameters);
        long always = process + needs.Weights + moments + reference;
        long gaps = device == DeviceType.CPU ? Gaps(needs, always) : 0;
        var lines = new List<MemoryLine>
        {
            new("weights", needs.Weights, MemoryPhase.Always),
            new("moments", moments, MemoryPhase.Always, Count(needs.TrainedParameters, "trained number")),
            new("reference", reference, MemoryPhase.Always),
            new("process", process, MemoryPhase.Always),
            new(
                "key/value cache", needs.Cache, MemoryPhase.Rollout,
                $"{Count(sizes.DecodedSequences, "sequence")} of {Count(sizes.CachedLength, "token")}"),
            new(
                "decoding", needs.Decoding, MemoryPhase.Rollout,
                $"{Count(sizes.DecodedPrompts, "prompt")} of {Count(sizes.PromptLength, "token")} at a time"),
            new("gradients", sizeof(float) * needs.TrainedParameters, MemoryPhase.Update),
            new("activations", needs.Activations, MemoryPhase.Update, Words(sizes)),
            new("logits", needs.Logits, MemoryPhase.Update),
            new("gaps of the heap", gaps, MemoryPhase.Update),
        };
        return new MemoryPlan
        {
            Lines = [.. lines.Where(line => line.Bytes > 0)],
            RolloutPeak = always + needs.Cache + needs.Decoding,
            UpdatePeak = always + Math.Max(needs.Training + gaps, sizes.WithReference ? needs.Scoring : 0),
        };
    }

    // Where the heap would keep more, an update gives it back.
    private static long Gaps(MemoryNeeds needs, long always) =>
        Math.Min(
            needs.SmallBlocks / GapsPerBlock, Math.Max(0, FreedMemory.MostKept(always - ProcessBytes + needs.Training) - ProcessBytes));

    private static string Words(MemorySizes sizes) =>
        $"{Count(sizes.MicroBatchSequences, "sequence")} of {Count(sizes.MicroBatchPrompts, "prompt")}, "
        + $"{Count(sizes.PromptLength, "token")} + {Count(sizes.CompletionLength, "token")}"
        + (sizes.SharesPrompts ? ", prompts once" : string.Empty);

    private static string Count(long number, string noun) =>
        string.Create(CultureInfo.InvariantCulture, $"{number:N0} {noun}{(number == 1 ? string.Empty : "s")}");
}
