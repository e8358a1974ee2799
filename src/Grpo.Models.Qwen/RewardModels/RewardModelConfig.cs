using System.Text.Json;
using Grpo.IO;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.RewardModels;

/// <summary>The configuration of a reward model: that of its decoder, and the fields of sequence classification with one label.</summary>
/// <param name="Decoder">The configuration of the decoder.</param>
/// <param name="PadTokenId">
/// The id that fills unused positions (<c>pad_token_id</c>), which also decides at which token the score is read. Null if there is none.
/// </param>
internal sealed record RewardModelConfig(DecoderConfig Decoder, int? PadTokenId)
{
    /// <summary>The end of the architecture's name, as in Qwen2ForSequenceClassification.</summary>
    internal const string Head = "ForSequenceClassification";

    /// <summary>Reads the <c>config.json</c> of a checkpoint.</summary>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="FileNotFoundException">The folder has no <c>config.json</c>.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is not the configuration of a supported reward model: another architecture, more than one label, or a damaged field.
    /// </exception>
    internal static RewardModelConfig Load(string directory)
    {
        DecoderConfig decoder = DecoderConfigFile.Load(directory, Head);
        string source = Path.Combine(directory, DecoderConfigFile.FileName);
        foreach (string name in (string[])["num_labels", "id2label", "label2id"])
        {
            if (Find(name) is { } value && !IsOneLabel(value))
            {
                throw new InvalidDataException(
                    $"{source}: {name} is {TerminalText.EscapeLine(ConfigFields.Excerpt(value))}, but a reward model has one label, whose "
                    + "output is the score. A classifier with several labels gives no single score.");
            }
        }

        return new RewardModelConfig(decoder, Find("pad_token_id") switch
        {
            null => null,
            { ValueKind: JsonValueKind.Number } id when id.TryGetInt32(out int number) && number >= 0 => number,
            { } other => throw new InvalidDataException(
                $"{source}: pad_token_id is {TerminalText.EscapeLine(ConfigFields.Excerpt(other))} but must be a token id or null."),
        });

        JsonElement? Find(string name) =>
            decoder.OtherFields.TryGetValue(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    private static bool IsOneLabel(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Number => value.TryGetInt32(out int count) && count == 1,
        JsonValueKind.Object => value.EnumerateObject().Count() == 1,
        _ => false,
    };
}
