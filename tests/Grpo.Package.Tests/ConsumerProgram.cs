using System.Text.RegularExpressions;

namespace Grpo.Package.Tests;

/// <summary>
/// The program that the package test compiles against the packages and runs: the README's quick start, after torch was touched first.
/// </summary>
internal static partial class ConsumerProgram
{
    /// <summary>What it must write: proof that torch works before Grpo was touched, and the line of the one step.</summary>
    public static readonly string[] ExpectedOutput = ["sum 12", "    1  reward "];

    /// <summary>
    /// Program.cs. Only the sizes of the run and the paths differ from the README: the tiny model, a file of two rows, one step.
    /// </summary>
    /// <param name="repository">The repository's root.</param>
    /// <param name="folder">Receives the data file.</param>
    public static string Source(string repository, string folder)
    {
        string data = Path.Combine(folder, "train.jsonl");
        File.WriteAllLines(data,
        [
            """{"question": "Anna has 3 pens and buys 4 more. How many pens does Anna have?", "answer": "3+4=<<3+4=7>>7\n#### 7"}""",
            """{"question": "Ben has 9 cups and gives 2 away. How many cups are left?", "answer": "9-2=<<9-2=7>>7\n#### 7"}""",
        ]);
        string quickStart = QuickStart().Match(File.ReadAllText(Path.Combine(repository, "README.md"))).Groups["code"].Value;
        string program = Replace(
            quickStart, "\"Qwen/Qwen2.5-0.5B-Instruct\", device: \"cuda\"", $"@\"{Path.Combine(repository, "samples", "Gsm8k", "tiny")}\"");
        program = Replace(program, "\"train.jsonl\"", $"@\"{data}\"");
        program = Replace(
            program, "GroupSize = 8, PromptsPerStep = 8,",
            "GroupSize = 2, PromptsPerStep = 2, Sampling = new SamplingOptions { MaxCompletionTokens = 16 },");
        program = Replace(program, "Steps = 200", "Steps = 1");
        return Replace(program, "using var qwen", """
            Console.WriteLine(TouchTorchFirst.Sum());
            using var qwen
            """) + """

            internal static class TouchTorchFirst
            {
                public static string Sum()
                {
                    using var ones = TorchSharp.torch.ones(3, 4);
                    return $"sum {ones.sum().item<float>()}";
                }
            }
            """;
    }

    private static string Replace(string program, string old, string next)
    {
        Assert.Contains(old, program, StringComparison.Ordinal); // the README changed: say here what the test puts in its place
        return program.Replace(old, next, StringComparison.Ordinal);
    }

    [GeneratedRegex(@"## Quick start.*?```csharp\r?\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex QuickStart();
}
