using System.Globalization;

namespace Grpo.Samples.Gsm8k;

/// <summary>What a flight record has to say of the model, so that a replay loads the same one.</summary>
internal static class RecordedModel
{
    private const string Model = "Run.Model";
    private const string Device = "Run.Device";
    private const string ReferenceDevice = "Run.ReferenceDevice";
    private const string FreezeEmbeddings = "Run.FreezeEmbeddings";
    private const string Int8Rollouts = "Run.Int8Rollouts";
    private const string LoraRank = "Run.LoraRank";
    private const string LoraAlpha = "Run.LoraAlpha";

    public static IReadOnlyDictionary<string, string> Of(RunSettings run)
    {
        var about = new Dictionary<string, string> { [Model] = run.Model ?? string.Empty, [Device] = run.Device };
        if (run.ReferenceDevice is { Length: > 0 } device)
        {
            about[ReferenceDevice] = device;
        }

        if (run.FreezeEmbeddings)
        {
            about[FreezeEmbeddings] = bool.TrueString;
        }

        if (run.Int8Rollouts)
        {
            about[Int8Rollouts] = bool.TrueString;
        }

        if (run.LoraRank is { } rank)
        {
            about[LoraRank] = rank.ToString(CultureInfo.InvariantCulture);
        }

        if (run.LoraAlpha is { } alpha)
        {
            about[LoraAlpha] = alpha.ToString(CultureInfo.InvariantCulture);
        }

        return about;
    }

    /// <summary>Fills in what the command line leaves open.</summary>
    public static void Apply(IReadOnlyDictionary<string, string> about, RunSettings run, bool keepDevice)
    {
        run.Model = run.Model is { Length: > 0 } ? run.Model : about.GetValueOrDefault(Model);
        run.Device = keepDevice ? run.Device : about.GetValueOrDefault(Device, run.Device);
        run.ReferenceDevice = keepDevice || run.ReferenceDevice is { Length: > 0 } ? run.ReferenceDevice : about.GetValueOrDefault(ReferenceDevice);
        run.FreezeEmbeddings |= about.ContainsKey(FreezeEmbeddings);
        run.Int8Rollouts |= about.ContainsKey(Int8Rollouts);
        run.LoraRank ??= about.TryGetValue(LoraRank, out string? rank) ? int.Parse(rank, CultureInfo.InvariantCulture) : null;
        run.LoraAlpha ??= about.TryGetValue(LoraAlpha, out string? alpha) ? double.Parse(alpha, CultureInfo.InvariantCulture) : null;
    }
}
