using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Rewards;

/// <summary>Reads GSM8K from the official jsonl files or from parquet.</summary>
public static partial class Gsm8kDataset
{
    private const string Format =
        "Each row must have the strings 'question' and 'answer', and the answer must end with '#### ' and a number.";

    /// <summary>
    /// Reads all rows of a file; the first bytes tell parquet from jsonl. Every row is checked: the number after the last
    /// <c>####</c> of its solution becomes <see cref="Prompt.Answer"/>, the whole solution the field <c>solution</c>, and the number of its
    /// calculations <c>&lt;&lt;48/2=24&gt;&gt;</c> the field <c>steps</c>.
    /// </summary>
    /// <param name="path">A jsonl or parquet file.</param>
    /// <param name="systemPrompt">
    /// The system message of every prompt; null for none. The default asks for what <see cref="AnswerFormat.TagAnswer"/> reads.
    /// </param>
    /// <returns>
    /// One prompt per row, in order. The id is the file's name and the line (parquet: the row), counted from 1: <c>gsm8k/train/17</c>;
    /// the shard suffix of a one-file parquet set is dropped, so that both forms of the data give the same ids.
    /// </returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is empty, a row is broken or has no answer, or a limit is exceeded (a line of 1 MiB, 1,000,000 rows, a parquet file of
    /// 512 MiB). The message names file and line.
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
