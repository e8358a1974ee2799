using System.Globalization;
using Grpo.IO;

namespace Grpo.Samples.Gsm8k;

/// <summary>The facts about the model in a flight record, from which a replay loads the same model.</summary>
internal static class RecordedModel
{
    private const string Model = "Run.Model";
    private const string Device = "Run.Device";
    private const string ReferenceDevice = "Run.ReferenceDevice";
    private const string FreezeEmbeddings = "Run.FreezeEmbeddings";
    private const string Bfloat16 = "Run.Bfloat16";
    private const string Int8Rollouts = "Run.Int8Rollouts";
    private const string FourBitBase = "Run.FourBitBase";
    private const string LoraRank = "Run.LoraRank";
    private const string LoraAlpha = "Run.LoraAlpha";
    private const string ChatTemplate = "Run.ChatTemplate";
    private const string EnableThinking = "Run.EnableThinking";

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

        if (run.Bfloat16)
        {
            about[Bfloat16] = bool.TrueString;
        }

        if (run.Int8Rollouts)
        {
            about[Int8Rollouts] = bool.TrueString;
        }

        if (run.FourBitBase)
        {
            about[FourBitBase] = bool.TrueString;
        }

        if (run.LoraRank is { } rank)
        {
            about[LoraRank] = rank.ToString(CultureInfo.InvariantCulture);
        }

        if (run.LoraAlpha is { } alpha)
        {
            about[LoraAlpha] = alpha.ToString(CultureInfo.InvariantCulture);
        }

        if (run.ChatTemplate is { Length: > 0 } template)
        {
            about[ChatTemplate] = template;
        }

        if (run.EnableThinking is { } thinking)
        {
            about[EnableThinking] = thinking.ToString();
        }

        return about;
    }

    /// <summary>Fills in the settings that the command line does not give.</summary>
    /// <exception cref="ArgumentException">The recorded model is not a folder on this machine.</exception>
    /// <exception cref="InvalidDataException">A recorded number cannot be parsed.</exception>
    public static void Apply(IReadOnlyDictionary<string, string> about, RunSettings run, bool keepDevice)
    {
        run.Model = run.Model is { Length: > 0 } ? run.Model : FolderOf(about);
        run.Device = keepDevice ? run.Device : about.GetValueOrDefault(Device, run.Device);
        run.ReferenceDevice = keepDevice || run.ReferenceDevice is { Length: > 0 }
            ? run.ReferenceDevice
            : about.GetValueOrDefault(ReferenceDevice);
        run.FreezeEmbeddings |= about.ContainsKey(FreezeEmbeddings);
        run.Bfloat16 |= about.ContainsKey(Bfloat16);
        run.Int8Rollouts |= about.ContainsKey(Int8Rollouts);
        run.FourBitBase |= about.ContainsKey(FourBitBase);
        run.LoraRank ??= about.TryGetValue(LoraRank, out string? rank)
            ? int.TryParse(rank, NumberStyles.None, CultureInfo.InvariantCulture, out int whole) ? whole : throw NoNumber(LoraRank, rank)
            : null;
        run.LoraAlpha ??= about.TryGetValue(LoraAlpha, out string? alpha)
            ? double.TryParse(alpha, NumberStyles.Float, CultureInfo.InvariantCulture, out double number)
                ? number
                : throw NoNumber(LoraAlpha, alpha)
            : null;
        run.ChatTemplate = run.ChatTemplate is { Length: > 0 } ? run.ChatTemplate : TemplateOf(about);
        run.EnableThinking ??= about.TryGetValue(EnableThinking, out string? thinking)
            ? bool.TryParse(thinking, out bool isOn)
                ? isOn
                : throw new InvalidDataException(
                    $"The record has {EnableThinking} = '{TerminalText.EscapeLine(thinking)}', which is neither True nor False.")
            : null;
    }

    // A record may come from anyone, so only a local folder is loaded because a record names it. A download would use the user's token and
    // a network path would contact another machine, so the user must ask for either.
    private static string? FolderOf(IReadOnlyDictionary<string, string> about)
    {
        if (about.GetValueOrDefault(Model) is not { Length: > 0 } model)
        {
            return null;
        }

        string shown = TerminalText.EscapeLine(model);
        if (model.StartsWith(@"\\", StringComparison.Ordinal) || model.StartsWith("//", StringComparison.Ordinal)
            || !Directory.Exists(model))
        {
            throw new ArgumentException(
                $"The record names the model '{shown}', which is no folder on this machine, and nothing is fetched because a file says so. "
                + "If you trust it, name it yourself, with --model; a folder with a copy of it will do as well.");
        }

        Console.WriteLine($"Model, as the record names it: {shown}");
        return model;
    }

    // As with the model, a record opens no file that the user did not name.
    private static string? TemplateOf(IReadOnlyDictionary<string, string> about) => about.GetValueOrDefault(ChatTemplate) switch
    {
        null or "" => null,
        "qwen2.5" or "chatml" => about[ChatTemplate],
        string path => throw new ArgumentException(
            $"The record names the chat template '{TerminalText.EscapeLine(path)}', and no file is read because a record says so. "
            + "If you trust it, name it yourself, with --chat-template."),
    };

    private static InvalidDataException NoNumber(string name, string text) =>
        new($"The record has {name} = '{TerminalText.EscapeLine(text)}', which is not a number: no run of this sample writes that.");
}
