using System.Globalization;
using Grpo.Callbacks;
using Grpo.Planning;
using TorchSharp;

namespace Grpo.Optimization;

/// <summary>
/// Looks for changes that make a run fit: smaller pieces at a time first, since they cost nothing but some speed, then a leaner model.
/// </summary>
/// <param name="options">Of the run that does not fit.</param>
/// <param name="device">Where the model is going to be.</param>
/// <param name="available">Bytes.</param>
internal sealed class RemedySearch(GrpoOptions options, DeviceType device, long available)
{
    /// <summary>Changes that are enough by themselves, the cheapest first.</summary>
    public IReadOnlyList<MemoryRemedy> Find(IMemoryModel model) => [.. AsItIsAndLeaner(model).Select(Fit).OfType<MemoryRemedy>()];

    /// <summary>What needs least: the leanest model, one sequence at a time.</summary>
    public MemoryRemedy Least(IMemoryModel model)
    {
        GrpoOptions single = options with { MicroBatchSize = 1, Sampling = options.Sampling with { MaxConcurrentSequences = 1 } };
        return AsItIsAndLeaner(model)
            .Select(leaner => new MemoryRemedy(Joined(leaner.Change, "one sequence at a time"), Plan(single, leaner.Model).Peak))
            .MinBy(remedy => remedy.Peak)!;
    }

    private static IEnumerable<LeanerModel> AsItIsAndLeaner(IMemoryModel model) => model.Leaner().Prepend(new LeanerModel("", model));

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
            long sequences = PassSizes.Of(changed, leaner.Model.SharesPrompts).MicroBatchSequences;
            changes.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"MaxTokensPerMicroBatch {changed.MaxTokensPerMicroBatch} ({sequences} of the longest at a time)"));
        }

        return new MemoryRemedy(Joined(leaner.Change, [.. changes]), Plan(changed, leaner.Model).Peak);
    }

    // Whole groups as long as one fits, then parts of a group.
    private GrpoOptions? WithFewerRows(GrpoOptions run, IMemoryModel model)
    {
        int rows = checked((int)PassSizes.Of(run, model.SharesPrompts).DecodedSequences);
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
        MemorySizes sizes = PassSizes.Of(run, model.SharesPrompts);
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

    private MemoryPlan Plan(GrpoOptions of, IMemoryModel model) =>
        MemoryPlanner.Build(PassSizes.Of(of, model.SharesPrompts), model, device);

    private static string Joined(string change, params string[] more) =>
        string.Join(", ", more.Prepend(change).Where(words => words.Length > 0));
}
