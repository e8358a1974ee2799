using System.Globalization;
using System.Numerics;
using Grpo.Planning;
using Grpo.Tensors;
using TorchSharp;

namespace Grpo.Optimization;

/// <summary>Computes how much memory a training run needs, from its options and the shape of the model, before it starts.</summary>
/// <remarks>
/// The plan assumes that every prompt and completion is as long as the options allow, so a real run needs less. On a CPU it is within 10 %
/// of the peaks of most measured processes (docs/memory.md). On CUDA, process and heap are left out; that has not been measured.
/// </remarks>
public static class MemoryPlanner
{
    /// <summary>
    /// The memory of a CPU process without any weights, in bytes: .NET, libtorch with its kernels, and buffers of matrix products.
    /// </summary>
    public const long ProcessBytes = 250_000_000;

    /// <summary>
    /// The size in bytes from which a freed block of memory goes back to the operating system. The library sets it in glibc.
    /// </summary>
    /// <value>32 MiB, or 1 MiB after <see cref="TorchBackend.ReturnFreedMemory"/>.</value>
    public static long LargeBlock => NativeEnvironment.LargeBlock;

    // Heap fragmentation: new blocks do not fit the gaps that freed blocks of other sizes have left. The gaps were measured as a third
    // of an update's small blocks.
    private const int GapsPerBlock = 3;

    /// <summary>Computes the memory that a run needs.</summary>
    /// <param name="options">The options of the run, with its sizes and limits.</param>
    /// <param name="model">The memory model of the policy.</param>
    /// <param name="device">The device of the policy.</param>
    /// <returns>The plan with its largest items and the peaks of rollout and update.</returns>
    /// <exception cref="ArgumentException">One or more options are out of range; the message lists all of them.</exception>
    public static MemoryPlan Plan(GrpoOptions options, IMemoryModel model, DeviceType device = DeviceType.CPU)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(model);
        if (options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        return Build(PassSizes.From(options, model.SharesPrompts), model, device);
    }

    /// <summary>Computes if a run fits into memory, and which changes make it fit if it does not.</summary>
    /// <param name="options">The options of the run, with its sizes and limits.</param>
    /// <param name="model">The memory model of the policy.</param>
    /// <param name="available">The available memory in bytes. At least 1.</param>
    /// <param name="device">The device of the policy.</param>
    /// <returns>The plan, with changes that are each enough if the run does not fit.</returns>
    /// <exception cref="ArgumentException">One or more options are out of range; the message lists all of them.</exception>
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

    /// <summary>Returns the main memory that this process may use, in bytes: that of the machine, or the limit of its container.</summary>
    public static long MachineBytes() => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>Computes the plan of passes with the given sizes.</summary>
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

    // The gaps have an upper bound, above which an update trims the heap.
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

/// <summary>
/// Searches for changes that make a run fit into memory: first smaller batches, which cost only some speed, then a leaner model.
/// </summary>
/// <param name="options">The options of the run that does not fit.</param>
/// <param name="device">The device of the model.</param>
/// <param name="available">The available memory in bytes.</param>
internal sealed class RemedySearch(GrpoOptions options, DeviceType device, long available)
{
    /// <summary>Returns the changes that are each enough, the cheapest first.</summary>
    public IReadOnlyList<MemoryRemedy> Find(IMemoryModel model) => [.. WithLeanerModels(model).Select(Fit).OfType<MemoryRemedy>()];

    /// <summary>Returns the change that needs the least memory: the leanest model with one sequence at a time.</summary>
    public MemoryRemedy Least(IMemoryModel model)
    {
        GrpoOptions single = options with { MicroBatchSize = 1, Sampling = options.Sampling with { MaxConcurrentSequences = 1 } };
        return WithLeanerModels(model)
            .Select(leaner => new MemoryRemedy(Joined(leaner.Change, "one sequence at a time"), Plan(single, leaner.Model).Peak))
            .MinBy(remedy => remedy.Peak)!;
    }

    private static IEnumerable<LeanerModel> WithLeanerModels(IMemoryModel model) => model.Leaner().Prepend(new LeanerModel("", model));

    private MemoryRemedy? Fit(LeanerModel leaner)
    {
        GrpoOptions changed = options;
        var changes = new List<string>();
        if (Plan(changed, leaner.Model).RolloutPeak > available)
        {
            if (WithFewerRows(changed, leaner.Model) is not { } fewer)
            {
                return null;
            }

            changed = fewer;
            changes.Add(
                string.Create(CultureInfo.InvariantCulture, $"Sampling.MaxConcurrentSequences {changed.Sampling.MaxConcurrentSequences}"));
        }

        if (Plan(changed, leaner.Model).UpdatePeak > available)
        {
            if (WithSmallerMicroBatches(changed, leaner.Model) is not { } smaller)
            {
                return null;
            }

            changed = smaller;
            long sequences = PassSizes.From(changed, leaner.Model.SharesPrompts).MicroBatchSequences;
            changes.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"MaxTokensPerMicroBatch {changed.MaxTokensPerMicroBatch} ({sequences} of the longest at a time)"));
        }

        return new MemoryRemedy(Joined(leaner.Change, [.. changes]), Plan(changed, leaner.Model).Peak);
    }

    // Reduces the rows by whole groups while one fits, then by parts of a group.
    private GrpoOptions? WithFewerRows(GrpoOptions run, IMemoryModel model)
    {
        int rows = checked((int)PassSizes.From(run, model.SharesPrompts).DecodedSequences);
        while (rows > 1)
        {
            rows -= rows > run.GroupSize ? run.GroupSize : 1;
            GrpoOptions fewer = run with { Sampling = run.Sampling with { MaxConcurrentSequences = rows } };
            if (Plan(fewer, model).RolloutPeak <= available)
            {
                return fewer;
            }
        }

        return null;
    }

    private GrpoOptions? WithSmallerMicroBatches(GrpoOptions run, IMemoryModel model)
    {
        MemorySizes sizes = PassSizes.From(run, model.SharesPrompts);
        for (long sequences = sizes.MicroBatchSequences - 1; sequences >= 1; sequences--)
        {
            long tokens = PassSizes.MicroBatchTokens(run, sequences, sizes.SharesPrompts);
            GrpoOptions smaller = run with { MaxTokensPerMicroBatch = checked((int)tokens) };
            if (Plan(smaller, model).UpdatePeak <= available)
            {
                return smaller;
            }
        }

        return null;
    }

    private MemoryPlan Plan(GrpoOptions run, IMemoryModel model) =>
        MemoryPlanner.Build(PassSizes.From(run, model.SharesPrompts), model, device);

    private static string Joined(string change, params string[] more) =>
        string.Join(", ", more.Prepend(change).Where(words => words.Length > 0));
}

/// <summary>Computes the sizes of a run's largest passes, in which every prompt and completion has its maximum length.</summary>
internal static class PassSizes
{
    /// <summary>Computes the sizes from the options of a run.</summary>
    /// <param name="options">The options, which must be valid.</param>
    /// <param name="canShare">True if the model can compute a prompt once for its group.</param>
    public static MemorySizes From(GrpoOptions options, bool canShare)
    {
        bool shares = options.SharePrompts && canShare;
        (long prompts, long rows) = Rollout(options);
        long sequences = MicroBatchSequences(options, shares);
        return new MemorySizes
        {
            DecodedPrompts = prompts,
            DecodedSequences = rows,
            PromptLength = options.Sampling.MaxPromptTokens,
            CompletionLength = options.Sampling.MaxCompletionTokens,
            MicroBatchPrompts = Prompts(options, sequences),
            MicroBatchSequences = sequences,
            SharesPrompts = shares,
            HasOtherMicroBatches = sequences < Completions(options),
            WithReference = options.KlCoefficient != 0,
            Moments = options.OptimizerMoments,
            WithEntropies = options.NeedsEntropies,
        };
    }

    /// <summary>
    /// Computes the size of a micro-batch in tokens, as <see cref="GrpoOptions.MaxTokensPerMicroBatch"/> counts them.
    /// </summary>
    public static long MicroBatchTokens(GrpoOptions options, long sequences, bool shares) =>
        ((shares ? Prompts(options, sequences) : sequences) * options.Sampling.MaxPromptTokens)
            + (sequences * options.Sampling.MaxCompletionTokens);

    private static long Completions(GrpoOptions options) => (long)options.PromptsPerStep * options.GroupSize;

    // The sampler decodes whole groups, or a part of a group that is too large.
    private static (long Prompts, long Rows) Rollout(GrpoOptions options)
    {
        SamplingOptions sampling = options.Sampling;
        long perSequence = (long)sampling.MaxPromptTokens + sampling.MaxCompletionTokens - 1;
        long rows = Math.Min(sampling.MaxConcurrentSequences, Math.Max(1, (sampling.MaxCachedTokens ?? long.MaxValue) / perSequence));
        long groups = Math.Min(options.PromptsPerStep, rows / options.GroupSize);
        return groups == 0 ? (1, rows) : (groups, groups * options.GroupSize);
    }

    private static long MicroBatchSequences(GrpoOptions options, bool shares)
    {
        long sequences = Math.Min(options.MicroBatchSize, Completions(options));
        while (sequences > 1 && MicroBatchTokens(options, sequences, shares) > (options.MaxTokensPerMicroBatch ?? long.MaxValue))
        {
            sequences--;
        }

        return sequences;
    }

    // The largest number of prompts in a micro-batch when the step is split into micro-batches of equal size. Within a group, micro-batches
    // start at multiples of the greatest common divisor. The last of these starts crosses the most group borders.
    private static long Prompts(GrpoOptions options, long sequences)
    {
        long latest = options.GroupSize - (long)BigInteger.GreatestCommonDivisor(sequences, options.GroupSize);
        return Math.Min(options.PromptsPerStep, ((latest + sequences - 1) / options.GroupSize) + 1);
    }
}
