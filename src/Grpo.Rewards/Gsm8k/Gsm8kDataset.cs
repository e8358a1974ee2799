using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.IO;
using Grpo.Rewards.Answers;
using Grpo.Rewards.Reading;

namespace Grpo.Rewards;

/// <summary>The GSM8K data set, read from its official JSON Lines files or from parquet.</summary>
public static partial class Gsm8kDataset
{
    private const string Format =
        "Each row must have the strings 'question' and 'answer', and the answer must end with '#### ' and a number.";

    /// <summary>Loads all rows of a GSM8K file as prompts and checks each of them. The first bytes tell parquet from JSON Lines.</summary>
    /// <param name="path">The path of a jsonl or parquet file.</param>
    /// <param name="systemPrompt">
    /// The system message of every prompt, or null for none. The default asks for answers in the form of
    /// <see cref="AnswerFormat.TagAnswer"/>.
    /// </param>
    /// <returns>
    /// One prompt per row, in order. Its id is the name of the file and the line (parquet: the row), counted from 1: <c>gsm8k/train/17</c>.
    /// The shard suffix of a one-file parquet set is dropped, so that both forms of the data give equal ids.
    /// </returns>
    /// <remarks>
    /// The number after the last <c>####</c> of a solution becomes <see cref="Prompt.Answer"/>. The field <c>solution</c> holds the whole
    /// solution, and the field <c>steps</c> the number of its calculations, written as <c>&lt;&lt;48/2=24&gt;&gt;</c>.
    /// </remarks>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is empty, a row is broken or has no answer, or the file exceeds a limit: 1 MiB per line, 1,000,000 rows,
    /// 512 MiB of parquet.
    /// The message names the file and the line.
    /// </exception>
    public static IReadOnlyList<Prompt> Load(string path, string? systemPrompt = Gsm8kPrompts.TagAnswer)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException(
                Directory.Exists(path)
                    ? $"'{path}' is a folder. Name the file: {Path.Combine(path, "train.jsonl")}, for example."
                    : $"There is no GSM8K file '{path}'. Expected train.jsonl or test.jsonl, or the data set's parquet file.",
                path);
        }

        string name = ShardSuffix().Replace(Path.GetFileNameWithoutExtension(path), "");
        var prompts = new List<Prompt>();
        foreach (Gsm8kRow row in ParquetRows.IsParquet(path) ? ParquetRows.Read(path) : JsonRows.Read(path))
        {
            prompts.Add(ToPrompt(row, name, systemPrompt));
        }

        return prompts.Count > 0 ? prompts : throw new InvalidDataException($"'{path}' has no rows. {Format}");
    }

    private static Prompt ToPrompt(Gsm8kRow row, string name, string? systemPrompt)
    {
        string question = row.Question ?? throw Missing(row, "question");
        string solution = row.Answer ?? throw Missing(row, "answer");
        if (string.IsNullOrWhiteSpace(question))
        {
            throw new InvalidDataException($"{row.Place}: the question is empty. {Format}");
        }

        if (!Gsm8kAnswer.TryGetGold(solution, out string gold))
        {
            throw new InvalidDataException(
                $"{row.Place}: the answer has no '####' with a number after it; it ends with \"{Tail(solution)}\". {Format}");
        }

        if (!ExactNumber.TryParse(gold, out _))
        {
            throw new InvalidDataException($"{row.Place}: \"{Tail(gold)}\" after the last '####' is not one exact number. {Format}");
        }

        string id = string.Create(CultureInfo.InvariantCulture, $"gsm8k/{name}/{row.Number}");
        return Prompt.Create(id, question, gold, systemPrompt) with
        {
            Fields = new Dictionary<string, string>
            {
                ["steps"] = Calculation().Count(solution).ToString(CultureInfo.InvariantCulture),
                ["solution"] = solution,
            },
        };
    }

    private static InvalidDataException Missing(Gsm8kRow row, string field) =>
        new($"{row.Place}: the string '{field}' is missing. {Format}");

    private static string Tail(string text) => TerminalText.EscapeLine(text.Length <= 40 ? text : "…" + text[^40..]);

    [GeneratedRegex("<<[^<>]*>>", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex Calculation();

    [GeneratedRegex("-00000-of-00001$", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex ShardSuffix();
}
