using System.Reflection;
using System.Text.RegularExpressions;
using Grpo.Hub;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Testing;

namespace Grpo.Fuzz.Tests;

/// <summary>The code uses no dangerous API, so no input can trigger one.</summary>
public sealed partial class SourceTests
{
    // Backtracking is harmless here, because the sample itself writes the text, a few words per line.
    private static readonly string[] MayBacktrack = ["samples/Gsm8k/ColdStart.cs"];

    // Each of these could run code that a file names, or start a program.
    private static readonly string[] Forbidden =
    [
        "BinaryFormatter", "NetDataContractSerializer", "DataContractSerializer", "XmlSerializer", "TypeNameHandling", "JsonPolymorphic",
        "JsonDerivedType", "Assembly.Load", "Type.GetType(", "Activator.CreateInstance", "CSharpScript", "jit.load", "torch.load(",
        "Process.Start", "XmlDocument", "XmlReader",
    ];

    [Fact]
    public void Every_regular_expression_of_the_library_takes_linear_time()
    {
        GeneratedRegexAttribute[] expressions =
        [
            .. new[] { typeof(GrpoOptimizer), typeof(HubClient), typeof(QwenPolicy), typeof(Gsm8kReward) }
                .SelectMany(type => type.Assembly.GetTypes())
                .SelectMany(type => type.GetMethods(
                    BindingFlags.Static | BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly))
                .Select(method => method.GetCustomAttribute<GeneratedRegexAttribute>()).OfType<GeneratedRegexAttribute>(),
        ];
        Assert.True(expressions.Length >= 12, $"Only {expressions.Length} were found.");
        Assert.All(expressions, expression => Assert.True(expression.Options.HasFlag(RegexOptions.NonBacktracking), expression.Pattern));
    }

    [Fact]
    public void Regular_expressions_are_generated_and_those_that_backtrack_are_listed()
    {
        foreach ((string file, string text) in Sources("src", "samples"))
        {
            Assert.DoesNotMatch(@"new Regex\(|Regex\.(IsMatch|Match|Matches|Replace|Split|Count)\(", text);
            int generated = Generated().Count(text);
            int linear = Linear().Count(text);
            Assert.True(
                generated == linear || MayBacktrack.Contains(file),
                $"{file} has {generated} expressions; {linear} of them are NonBacktracking.");
        }
    }

    [Fact]
    public void Nothing_is_read_by_a_deserializer_that_can_run_code()
    {
        foreach ((string file, string text) in Sources("src"))
        {
            Assert.All(Forbidden, word => Assert.False(text.Contains(word, StringComparison.Ordinal), $"{file} uses {word}."));
            // source-generated, so only declared types are read
            Assert.All(Deserialize().Matches(text), call => Assert.Matches("Json\\.(Default\\.)?[A-Z]", call.Value));
        }
    }

    // The id comes from a data set or a record and may contain terminal control sequences.
    [Fact]
    public void Id_of_a_prompt_is_escaped_wherever_it_stands_in_a_text()
    {
        int found = 0;
        foreach ((string file, string text) in Sources("src", "samples"))
        {
            foreach (string hole in PromptIds().Matches(text).Select(match => match.Value))
            {
                found++;
                Assert.True(hole.Contains("EscapeLine(", StringComparison.Ordinal), $"{file} has {hole}: take TerminalText.EscapeLine.");
            }
        }

        Assert.True(found >= 9, $"Only {found} were found.");
    }

    private static IEnumerable<(string File, string Text)> Sources(params string[] folders)
    {
        foreach (string folder in folders)
        {
            string[] files = [.. Directory.EnumerateFiles(
                Path.Combine(SharedData.RepositoryRoot, folder), "*.cs", SearchOption.AllDirectories)
                .Select(path => Path.GetRelativePath(SharedData.RepositoryRoot, path).Replace('\\', '/'))
                .Where(path => !path.Contains("/bin/", StringComparison.Ordinal) && !path.Contains("/obj/", StringComparison.Ordinal))];
            Assert.NotEmpty(files);
            foreach (string file in files)
            {
                yield return (file, File.ReadAllText(Path.Combine(SharedData.RepositoryRoot, file)));
            }
        }
    }

    [GeneratedRegex(@"\[GeneratedRegex\(", RegexOptions.NonBacktracking)]
    private static partial Regex Generated();

    // Matches {…prompt.Id…}, {…Prompts[i].Id…} and {…PromptId…} in an interpolated text. An initializer has a blank after its brace.
    [GeneratedRegex("""\{(?:[^\s{}"][^{}"\n]*)?(?:rompts?(?:\[\w+\])?\.Id|PromptId)\b[^{}"\n]*\}""", RegexOptions.NonBacktracking)]
    private static partial Regex PromptIds();

    [GeneratedRegex(@"RegexOptions\.NonBacktracking", RegexOptions.NonBacktracking)]
    private static partial Regex Linear();

    [GeneratedRegex(@"\.Deserialize(Async)?(<[^>]*>)?\([^;]*;", RegexOptions.NonBacktracking)]
    private static partial Regex Deserialize();
}
