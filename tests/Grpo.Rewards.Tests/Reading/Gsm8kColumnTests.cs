using System.Text;
using Grpo.Testing;
using static Grpo.Rewards.Tests.HandmadeParquet;

namespace Grpo.Rewards.Tests;

/// <summary>
/// The columns of a data set that are read: those of the root, by their whole path. No other column can hide them or prevent reading.
/// </summary>
public sealed class Gsm8kColumnTests : IDisposable
{
    private const string Read = "\"question\": \"new\", \"answer\": \"#### 11\"";

    private static readonly (string[] Path, string[]? Rows)[] Columns =
    [
        (["question"], ["new 1", "new 2"]), (["answer"], ["#### 11", "#### 12"]),
    ];

    private static readonly (string[] Path, string[]? Rows)[] Others =
    [
        (["o", "question"], ["old 1", "old 2"]), (["o", "answer"], ["#### 1", "#### 2"]),
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, byte[]> Passed => new()
    {
        { "a struct before", Handmade([Group("o", 2), Text("question"), Text("answer")], Others) },
        { "an optional struct before", Handmade([Group("o", 2, Optional), Text("question"), Text("answer")], Others) },
        {
            "a struct in a struct",
            Handmade(
                [Group("a", 1), Group("o", 2), Text("question"), Text("answer")],
                [(["a", "o", "question"], ["1", "2"]), (["a", "o", "answer"], ["1", "2"])])
        },
        {
            "a struct without a name",
            Handmade([Group("", 2), Text("question"), Text("answer")], [(["", "question"], ["1", "2"]), (["", "answer"], ["1", "2"])])
        },
        {
            "a list of structs",
            Handmade(
                [Group("o", 1, Optional, List), Group("list", 1, Repeated), Group("element", 2), Text("question"), Text("answer")], null)
        },
        {
            "a list of structs in the old form",
            Handmade([Group("o", 1, Optional, List), Group("array", 2, Repeated), Text("question"), Text("answer")], null)
        },
        { "structs that are repeated", Handmade([Group("o", 2, Repeated), Text("question"), Text("answer")], null) },
        { "a map", Handmade([Group("o", 1, Optional, Map), Group("key_value", 2, Repeated), Text("question"), Text("answer")], null) },
        { "a map of keys alone", Handmade([Group("o", 1, Optional, Map), Group("key_value", 1, Repeated), Text("question")], null) },
        { "a struct of nothing", Handmade([Group("o", 0)], []) },
        {
            "names with dots",
            Handmade([Text("o.question"), Text("o/answer")], [(["o.question"], ["1", "2"]), (["o/answer"], ["1", "2"])], columns: 2)
        },
        {
            "names in other case",
            Handmade([Text("Question"), Text("ANSWER")], [(["Question"], ["1", "2"]), (["ANSWER"], ["1", "2"])], columns: 2)
        },
        { "an unknown compression", Handmade([Leaf(Whole64, "o")], [(["o"], null)]) },
        { "an unknown type", Handmade([Leaf(77, "o")], [(["o"], null)]) },
        { "times of an unknown unit", Handmade([Leaf(Whole64, "o", logical: Struct((7, Struct((2, Struct())))))], [(["o"], null)]) },
        { "a variant", Handmade([Leaf(ByteArray, "o", logical: Struct((16, Struct((1, (sbyte)1)))))], [(["o"], null)]) },
        { "places on a map", Handmade([Leaf(ByteArray, "o", logical: Struct((17, Struct((1, "OGC:CRS84")))))], [(["o"], null)]) },
        { "places on a globe", Handmade([Leaf(ByteArray, "o", logical: Struct((18, Struct((1, "OGC:CRS84"), (2, 1)))))], [(["o"], null)]) },
        { "forty structs, one in the other", Handmade([.. Enumerable.Range(0, 40).Select(_ => Group("o", 1)), Text("question")], null) },
    };

    [Theory]
    [MemberData(nameof(Passed))]
    public void Load_reads_the_root_of_parquet_beside(string what, byte[] file)
    {
        IReadOnlyList<Prompt> prompts = Gsm8kDataset.Load(Write("train.parquet", file), systemPrompt: null);

        Assert.NotEmpty(what);
        Assert.Equal(["new 1", "new 2"], prompts.Select(prompt => prompt.Messages[0].Text));
        Assert.Equal(["11", "12"], prompts.Select(prompt => prompt.Answer));
    }

    [Theory]
    [InlineData("a struct", "it has no text column 'question': that column is a group of 1 columns. Its columns are question, answer.")]
    [InlineData("a list", "it has no text column 'question': that column is a group of 1 columns.")]
    [InlineData("repeated", "it has no text column 'question': that column has several values in a row.")]
    [InlineData("a number", "it has no text column 'question': that column is of type INT64.")]
    [InlineData("bytes", "it has no text column 'question': that column is of type BYTE_ARRAY and is not marked as text.")]
    [InlineData("twice", "it has 2 columns 'question'; there must be one.")]
    [InlineData("only inside", "it has no text column 'question'; its columns are o, answer.")]
    [InlineData("nameless", "row group 0 has a second column 'question', in a group whose name is empty. Name the group.")]
    [InlineData("a dot", "it has no text column 'question'; its columns are o.question, answer.")]
    [InlineData("other case", "it has no text column 'question'; its columns are Question, answer.")]
    [InlineData("escapes", @"its columns are \u{1B}[31m, answer.")]
    public void Load_names_the_column_of_parquet_that_cannot_be_read(string what, string message)
    {
        byte[][] elements = what switch
        {
            "a struct" => [Group("question", 1), Text("question")],
            "a list" => [Group("question", 1, Optional, List), Group("list", 1, Repeated), Text("element")],
            "repeated" => [Leaf(ByteArray, "question", Repeated, Utf8)],
            "a number" => [Leaf(Whole64, "question")],
            "bytes" => [Leaf(ByteArray, "question")],
            "twice" => [Text("question"), Text("question")],
            "only inside" => [Group("o", 1), Text("question")],
            "nameless" => [Text("question"), Group("", 1), Text("question")],
            "a dot" => [Text("o.question")],
            "other case" => [Text("Question")],
            "escapes" => [Text("\u001b[31m")],
            _ => throw new ArgumentOutOfRangeException(nameof(what), what, null),
        };
        int columns = what is "twice" or "nameless" ? 3 : 2;
        string[] second = what == "nameless" ? ["", "question"] : ["question", "question"];
        byte[] file = File(columns, [.. elements, Text("answer")], (["question"], ["1"]), (second, ["1"]), (["answer"], ["#### 1"]));
        string path = Write("train.parquet", file);

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.StartsWith($"'{path}' cannot be read as GSM8K in parquet: ", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_names_the_row_whose_optional_text_is_null()
    {
        // The levels before the values: two bits of which the first is set, in one run (3 = 1 group of 8, packed).
        byte[] values = Struct((1, 2), (2, 0), (3, 3), (4, 3));
        byte[] page = [.. Struct((1, 0), (2, 17), (3, 17), (5, values)), 2, 0, 0, 0, 3, 0b01, .. BitConverter.GetBytes(7), .. "#### 11"u8];
        byte[][] elements = [Text("question"), Leaf(ByteArray, "answer", Optional, Utf8)];
        byte[] whole = File(2, elements, (["question"], ["q1", "q2"]), (["answer"], ["#### 11", "#### 12"]));
        int at = whole.AsSpan().IndexOf("#### 11"u8) - 4 - Struct((1, 0), (2, 22), (3, 22), (5, values)).Length;
        page.CopyTo(whole, at);
        string path = Write("train.parquet", whole);

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.StartsWith($"{path}, row 2: the string 'answer' is missing.", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_refuses_a_row_group_that_lacks_a_column()
    {
        byte[][] elements = [Text("question"), Text("answer"), Group("", 1), Text("answer")];
        string path = Write("train.parquet", File(3, elements, (["question"], ["1"]), (["", "answer"], ["#### 1"])));

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.Contains("row group 0 has 0 columns 'answer'; there must be one.", error.Message, StringComparison.Ordinal);
    }

    // The library descends the schema by recursion, so a hundred thousand levels would end the process.
    [Fact]
    public void Load_refuses_a_schema_too_deep_for_the_library()
    {
        byte[][] elements = [.. Enumerable.Range(0, 200_000).Select(_ => Group("o", 1)), Text("o")];
        string path = Write("train.parquet", File(3, [.. elements, Text("question"), Text("answer")], Columns));

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.Contains("its columns are nested more than 64 deep", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"o\": {\"question\": \"old\", \"answer\": \"#### 1\"}, " + Read + "}")]
    [InlineData("{" + Read + ", \"o\": {\"question\": \"old\", \"answer\": \"#### 1\"}}")]
    [InlineData("{\"o\": [{\"question\": \"old\"}], \"Question\": \"old\", \"ANSWER\": 5, \"a.question\": \"old\", " + Read + "}")]
    [InlineData("{\"qu\\u0065stion\": \"new\", \"answer\": \"#### 11\"}")]
    [InlineData("{\"x\": NaN, " + Read + "}")]
    [InlineData("{\"x\": -Infinity, \"y\": Infinity, " + Read + ", \"z\": [1, NaN, {\"w\": NaN}]}")]
    [InlineData("{\"x\": \"NaN \\\" Infinity\", " + Read + ", \"y\":NaN}")]
    [InlineData("{\"x\": 1e999999, \"y\": 123456789012345678901234567890, " + Read + "}")]
    [InlineData("{\"x\": \"\\ud800\", \"\\ud800\": 1, " + Read + "}")]
    [InlineData("{\"x\": 1, \"x\": 2, " + Read + "}")]
    [InlineData("{\"x\": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]], " + Read + "}")]
    public void Load_reads_the_root_of_a_line_beside(string line)
    {
        Prompt prompt = Assert.Single(Gsm8kDataset.Load(Write("train.jsonl", Encoding.UTF8.GetBytes(line)), systemPrompt: null));

        Assert.Equal(("new", "11"), (prompt.Messages[0].Text, prompt.Answer));
    }

    [Fact]
    public void Load_passes_over_a_column_of_any_depth()
    {
        string deep = new string('[', 400_000) + new string(']', 400_000);
        byte[] line = Encoding.UTF8.GetBytes("{\"x\": " + deep + ", " + Read + "}");
        Prompt prompt = Assert.Single(Gsm8kDataset.Load(Write("train.jsonl", line)));

        Assert.Equal("11", prompt.Answer);
    }

    [Theory]
    [InlineData("{\"question\": \"a\", \"question\": \"b\", \"answer\": \"#### 1\"}", "'question' appears twice in the object.")]
    [InlineData("{\"question\": \"a\", \"answer\": \"#### 1\", \"\\u0061nswer\": null}", "'answer' appears twice in the object.")]
    [InlineData("{\"Question\": \"a\", \"answer\": \"#### 1\"}", "the string 'question' is missing.")]
    [InlineData("{\"o\": {\"question\": \"a\"}, \"answer\": \"#### 1\"}", "the string 'question' is missing.")]
    [InlineData("{\"question\": NaN, \"answer\": \"#### 1\"}", "the string 'question' is missing.")]
    [InlineData("{\"question\": [\"a\"], \"answer\": \"#### 1\"}", "the string 'question' is missing.")]
    [InlineData("{\"question\": null, \"answer\": \"#### 1\"}", "the string 'question' is missing.")]
    [InlineData("{" + Read + ", \"x\": NaN5}", "the line is not valid JSON: ")]
    [InlineData("{" + Read + ", \"x\": +Infinity}", "the line is not valid JSON: ")]
    [InlineData("{" + Read + ", \"x\": nan}", "the line is not valid JSON: ")]
    [InlineData("{" + Read + ", NaN: 1}", "the line is not valid JSON: ")]
    [InlineData("{" + Read + ", \"x\": [1}", "the line is not valid JSON: ")]
    [InlineData("{" + Read + "} {}", "the line is not valid JSON: ")]
    [InlineData("{" + Read + "", "the line is not valid JSON: ")]
    [InlineData("NaN", "the line is a JSON Number but must be an object.")]
    public void Load_names_file_and_line_of(string line, string message)
    {
        string path = Write("train.jsonl", Encoding.UTF8.GetBytes("{" + Read + "}\n" + line));

        var error = Assert.Throws<InvalidDataException>(() => Gsm8kDataset.Load(path));
        Assert.StartsWith(path + ":2: " + message, error.Message, StringComparison.Ordinal);
    }

    [SharedTheory]
    [InlineData("nested-before.parquet")]
    [InlineData("nested.jsonl")]
    public void Load_reads_the_kept_case(string file)
    {
        Prompt prompt = Gsm8kDataset.Load(SharedData.Path("cases", file), systemPrompt: null)[0];

        Assert.Equal(("NEW question 1", "11"), (prompt.Messages[0].Text, prompt.Answer));
    }

    // The other columns come before those that are read.
    private static byte[] Handmade(byte[][] others, (string[] Path, string[]? Rows)[]? leaves, int columns = 1) =>
        File(columns + 2, [.. others, Text("question"), Text("answer")], [.. leaves ?? [(["o"], null)], .. Columns]);

    private string Write(string name, byte[] content)
    {
        string path = _folder[name];
        System.IO.File.WriteAllBytes(path, content);
        return path;
    }
}
