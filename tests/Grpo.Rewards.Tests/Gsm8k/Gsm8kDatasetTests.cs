using System.Text;
using System.Text.Json;
using Grpo.Rewards.Answers;
using Grpo.Testing;
using Parquet;
using Parquet.Schema;

namespace Grpo.Rewards.Tests;

public sealed class Gsm8kDatasetTests : IDisposable
{
    private const string Row = """{"question": "Mia has 2 cups and gets 3. How many?", "answer": "2+3 = <<2+3=5>>5\n#### 5"}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("grpo-gsm8k-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Load_reads_jsonl_with_ids_from_file_and_line()
    {
        string path = Write("train.jsonl", $"\uFEFF{Row}\r\n\n{Row.Replace("#### 5", "#### 1,080", StringComparison.Ordinal)}\n");

        IReadOnlyList<Prompt> prompts = Gsm8kDataset.Load(path, "Be exact.");

        Assert.Equal(["gsm8k/train/1", "gsm8k/train/3"], prompts.Select(prompt => prompt.Id));
        Assert.Equal(["5", "1,080"], prompts.Select(prompt => prompt.Answer));
        Assert.Equal(["Be exact.", "Mia has 2 cups and gets 3. How many?"], prompts[0].Messages.Select(message => message.Text));
        Assert.Equal("2+3 = <<2+3=5>>5\n#### 5", prompts[0].Fields["solution"]);
        Assert.Equal("1", prompts[0].Fields["steps"]);
    }

    [Fact]
    public void Load_asks_for_answer_tags_by_default_and_for_nothing_when_told()
    {
        string path = Write("test.jsonl", Row);

        Assert.Equal(Gsm8kPrompts.TagAnswer, Gsm8kDataset.Load(path)[0].Messages[0].Text);
        Assert.Single(Gsm8kDataset.Load(path, systemPrompt: null)[0].Messages);
    }

    [Fact]
    public async Task Load_reads_parquet_with_the_same_ids_and_text()
    {
        string path = await WriteParquet(
            "train-00000-of-00001.parquet", "question", "answer", ["q1", "q2", "q3"], ["#### 1", "#### 2", "#### 3"]);

        IReadOnlyList<Prompt> prompts = Gsm8kDataset.Load(path);

        Assert.Equal(["gsm8k/train/1", "gsm8k/train/2", "gsm8k/train/3"], prompts.Select(prompt => prompt.Id));
        Assert.Equal(["1", "2", "3"], prompts.Select(prompt => prompt.Answer));
        Assert.Equal(["q1", "q2", "q3"], prompts.Select(prompt => prompt.Messages[^1].Text));
    }

    [Theory]
    [InlineData("{\"question\": \"q\", ", ":2: the line is not valid JSON: ")]
    [InlineData("[1]", ":2: the line is a JSON Array but must be an object.")]
    [InlineData("{\"question\": \"q\"}", ":2: the string 'answer' is missing. Each row must have the strings 'question' and 'answer'")]
    [InlineData("{\"answer\": \"#### 5\"}", ":2: the string 'question' is missing.")]
    [InlineData("{\"question\": 5, \"answer\": \"#### 5\"}", ":2: the string 'question' is missing.")]
    [InlineData("{\"question\": \" \", \"answer\": \"#### 5\"}", ":2: the question is empty.")]
    [InlineData(
        "{\"question\": \"q\", \"answer\": \"It is 5.\"}",
        ":2: the answer has no '####' with a number after it; it ends with \"It is 5.\".")]
    [InlineData("{\"question\": \"q\", \"answer\": \"#### \"}", ":2: the answer has no '####'")]
    [InlineData("{\"question\": \"q\", \"answer\": \"#### 5 or 6\"}", ":2: \"5 or 6\" after the last '####' is not one exact number.")]
    [InlineData("{\"question\": \"\\ud800\", \"answer\": \"#### 5\"}", ":2: a string is not valid Unicode: ")]
    public void Load_names_file_and_line_of_a_broken_row(string line, string message)
    {
        string path = Write("broken.jsonl", Row + "\n" + line + "\n");

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.StartsWith(path + message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_names_the_line_of_broken_utf8()
    {
        string path = Path.Combine(_folder, "bytes.jsonl");
        File.WriteAllBytes(path, [.. Encoding.UTF8.GetBytes(Row + "\n{\"question\": \""), 0xFF, .. "\", \"answer\": \"#### 5\"}"u8]);

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.StartsWith(path + ":2: ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n \n")]
    public void Load_refuses_a_file_without_rows(string content)
    {
        string path = Write("empty.jsonl", content);

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.StartsWith($"'{path}' has no rows.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_says_when_the_file_is_missing_or_a_folder()
    {
        string missing = Path.Combine(_folder, "none.jsonl");

        Assert.StartsWith(
            $"There is no GSM8K file '{missing}'.", Assert.Throws<FileNotFoundException>(() => Gsm8kDataset.Load(missing)).Message,
            StringComparison.Ordinal);
        Assert.StartsWith(
            $"'{_folder}' is a folder.", Assert.Throws<FileNotFoundException>(() => Gsm8kDataset.Load(_folder)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Load_stops_at_a_line_of_more_than_a_mebibyte()
    {
        string path = Write("long.jsonl", Row + "\n" + new string('x', (1 << 20) + 1));

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.Equal(path + ":2: the line is longer than 1048576 bytes. Is this a jsonl file?", error.Message);
    }

    [Fact]
    public async Task Load_names_the_row_or_column_that_parquet_lacks()
    {
        string row = await WriteParquet("row.parquet", "question", "answer", ["q1", "q2"], ["#### 1", "two"]);
        string column = await WriteParquet("column.parquet", "question", "solution", ["q1"], ["#### 1"]);

        Assert.StartsWith(
            $"{row}, row 2: the answer has no '####'", Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(row)).Message,
            StringComparison.Ordinal);
        Assert.Equal(
            $"'{column}' cannot be read as GSM8K in parquet: it has no text column 'answer'; its columns are question, solution.",
            Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(column)).Message);
    }

    [Fact]
    public async Task Load_refuses_damaged_parquet_with_the_file_named()
    {
        string path = await WriteParquet("damaged.parquet", "question", "answer", ["q1"], ["#### 1"]);
        byte[] bytes = await File.ReadAllBytesAsync(path);
        for (int length = 4; length < bytes.Length; length += 7)
        {
            await File.WriteAllBytesAsync(path, bytes[..length]);
            var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
            Assert.StartsWith($"'{path}' cannot be read as GSM8K in parquet: ", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Load_survives_any_single_damaged_byte_of_parquet()
    {
        string path = await WriteParquet("flipped.parquet", "question", "answer", ["q1", "q2", "q3"], ["#### 1", "#### 2", "#### 3"]);
        byte[] bytes = await File.ReadAllBytesAsync(path);
        int refused = 0;

        // A damaged stop byte (the last byte of the footer) or list length makes the library loop forever.
        for (int i = 4; i < bytes.Length; i++)
        {
            byte[] damaged = [.. bytes];
            damaged[i] ^= 0x55;
            await File.WriteAllBytesAsync(path, damaged);
            if (Record.Exception(() => Gsm8kDataset.Load(path)) is { } error)
            {
                Assert.True(error is InvalidDataException, $"byte {i}: {error}");
                refused++;
            }
        }

        // Changes to names, statistics and text may go unnoticed, but not changes to the structure.
        Assert.InRange(refused, bytes.Length / 4, bytes.Length);
    }

    // The expected values are read from the files by other means, so any data set with this layout will do.
    [SharedTheory]
    [InlineData("train")]
    [InlineData("test")]
    public void Load_reads_every_row_of_the_official_files(string part)
    {
        string path = SharedData.Path("data", "gsm8k", part + ".jsonl");
        JsonElement[] rows = [.. File.ReadLines(path).Where(line => line.Length > 0).Select(line => JsonElement.Parse(line))];

        IReadOnlyList<Prompt> prompts = Gsm8kDataset.Load(path);

        Assert.NotEmpty(rows);
        Assert.Equal(rows.Select((_, index) => $"gsm8k/{part}/{index + 1}"), prompts.Select(prompt => prompt.Id));
        Assert.Equal(rows.Select(row => row.GetProperty("question").GetString()), prompts.Select(prompt => prompt.Messages[^1].Text));
        IEnumerable<string> golds = rows.Select(row => row.GetProperty("answer").GetString()!.Split("####")[^1].Trim());
        Assert.Equal(golds, prompts.Select(prompt => prompt.Answer));
    }

    [SharedTheory]
    [InlineData("en-US")]
    [InlineData("tr-TR")]
    [InlineData("de-DE")]
    [InlineData("ar-SA")]
    public void Every_gold_answer_verifies_against_itself_in_every_format(string culture)
    {
        using var scope = new CultureScope(culture);
        var prompts = Gsm8kDataset.Load(SharedData.Path("data", "gsm8k", "train.jsonl"))
            .Concat(Gsm8kDataset.Load(SharedData.Path("data", "gsm8k", "test.jsonl"))).ToList();

        Assert.Equal(
            new[] { "train.jsonl", "test.jsonl" }.Sum(name => File.ReadLines(SharedData.Path("data", "gsm8k", name)).Count()),
            prompts.Count);
        Assert.NotEmpty(prompts);
        foreach (Prompt prompt in prompts)
        {
            string gold = prompt.Answer!;
            string solution = prompt.Fields["solution"];
            string steps = solution[..solution.LastIndexOf("####", StringComparison.Ordinal)];
            string tagged = $"<reasoning>\n{steps}</reasoning>\n<answer>\n{gold}\n</answer>";
            string plain = tagged.Replace(",", "", StringComparison.Ordinal);

            AssertCorrect(tagged, AnswerFormat.TagAnswer);
            AssertCorrect(plain, AnswerFormat.TagAnswer);
            AssertCorrect(solution, AnswerFormat.HashMarks);
            AssertCorrect($@"{steps}So it is $\boxed{{{gold}}}$.", AnswerFormat.Boxed);
            AssertCorrect(solution, AnswerFormat.LastNumber);
            AssertCorrect(tagged, AnswerFormat.LastNumber);
            AssertCorrect($@"{steps}So it is $\boxed{{{gold.Replace(",", "{,}", StringComparison.Ordinal)}}}$.", AnswerFormat.Boxed);
            AssertCorrect($@"{steps}So it is \({gold.Replace(",", @"\,", StringComparison.Ordinal)}\).", AnswerFormat.LastNumber);
            Assert.True(ExactNumber.TryParse(gold, out ExactNumber number));
            var other = new ExactNumber(number.Numerator + number.Denominator, number.Denominator);
            Assert.Equal(Gsm8kVerdict.WrongNumber, Gsm8kAnswer.Judge($"<answer>{other}</answer>", gold));
            Assert.NotEqual(Gsm8kVerdict.Correct, Gsm8kAnswer.Judge($"<answer>{gold}k</answer>", gold));

            void AssertCorrect(string text, AnswerFormat format) =>
                Assert.True(Gsm8kAnswer.Judge(text, gold, format) == Gsm8kVerdict.Correct, $"{prompt.Id} in {format}: {text}");
        }
    }

    [Fact]
    public void Every_word_problem_verifies_against_itself()
    {
        var reward = new Gsm8kReward();
        foreach (WordProblem problem in WordProblems.Generate(new WordProblemOptions { Count = 500 }))
        {
            var completion = new Completion([], problem.ToCompletion(), FinishReason.EndToken);
            Assert.Equal("Correct", reward.Score(problem.ToPrompt(), completion).Verdict);
            Assert.Equal(1.0, new FormatReward().Score(problem.ToPrompt(), completion).Value);
            Assert.True(Gsm8kAnswer.TryGetGold(problem.Solution, out string gold));
            Assert.Equal(problem.ToPrompt().Answer, gold);
        }
    }

    private string Write(string name, string content)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, content, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        return path;
    }

    private async Task<string> WriteParquet(string name, string first, string second, string[] questions, string[] answers)
    {
        string path = Path.Combine(_folder, name);
        var schema = new ParquetSchema(new DataField<string>(first), new DataField<string>(second));
        await using FileStream file = File.Create(path);
        await using ParquetWriter writer = await ParquetWriter.CreateAsync(schema, file);
        foreach (int[] rows in Enumerable.Range(0, questions.Length).Chunk(2))
        {
            using ParquetRowGroupWriter group = writer.CreateRowGroup();
            await group.WriteAsync(schema.DataFields[0], rows.Select(row => questions[row]).ToArray());
            await group.WriteAsync(schema.DataFields[1], rows.Select(row => answers[row]).ToArray());
        }

        return path;
    }
}
