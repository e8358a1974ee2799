using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Samples.Gsm8k;
using Grpo.Snippets;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;
using BigramPolicy = Grpo.Snippets.BigramPolicy; // the test library has one of its own

namespace Grpo.EndToEnd.Tests;

/// <summary>Holds the pages against the code: C# blocks are compiled, links lead somewhere, commands and numbers are true.</summary>
public sealed partial class DocumentationTests
{
    private static readonly string[] CodeFolders = ["docs/snippets", "samples"];
    private static readonly string[] KnownLanguages = ["csharp", "bash", "text", "json", "xml"];

    [Fact]
    public void Every_csharp_block_stands_in_code_that_is_compiled()
    {
        List<(string File, string[] Lines)> sources = [.. CodeFolders.SelectMany(folder => FilesBelow(folder, "*.cs"))
            .Select(file => (file, SignificantLines(File.ReadLines(Full(file)))))];
        List<string> problems = [];
        foreach (string page in Pages())
        {
            foreach (CodeBlock block in MarkdownBlocks(page).Where(block => block.Language == "csharp"))
            {
                string[] lines = SignificantLines(block.Lines);
                (int matched, string file) =
                    sources.Select(source => (LongestRun(lines, source.Lines), source.File)).MaxBy(match => match.Item1);
                if (matched < lines.Length)
                {
                    problems.Add($"{page}, block at line {block.Line}: '{lines[matched]}' is the first line that differs from {file}.");
                }
            }
        }

        AssertNone(problems);
    }

    [Fact]
    public void Every_block_names_a_language_that_is_checked()
    {
        IEnumerable<string> unknown = Pages().SelectMany(page => MarkdownBlocks(page)
            .Where(block => !KnownLanguages.Contains(block.Language))
            .Select(block => $"{page}, line {block.Line}: '{block.Language}'"));

        AssertNone(unknown);
    }

    [Fact]
    public void Every_relative_link_leads_to_a_file_and_heading()
    {
        List<string> broken = [];
        foreach (string page in Pages())
        {
            foreach (string target in Prose(page).SelectMany(line => Link().Matches(line)).Select(match => match.Groups["target"].Value))
            {
                if (target.Contains("://", StringComparison.Ordinal) || target.StartsWith("mailto:", StringComparison.Ordinal))
                {
                    continue;
                }

                string[] parts = target.Split('#', 2);
                string folder = Path.GetDirectoryName(Full(page))!;
                string path = parts[0].Length == 0 ? Full(page) : Path.GetFullPath(Path.Combine(folder, parts[0]));
                bool exists = File.Exists(path) || (parts.Length == 1 && Directory.Exists(path));
                if (!exists || (parts.Length == 2 && !Headings(path).Contains(parts[1])))
                {
                    broken.Add($"{page}: {target}");
                }
            }
        }

        AssertNone(broken);
    }

    [Fact]
    public void The_readme_runs_the_tests_by_the_command_that_continuous_integration_uses()
    {
        string command = ReadmeCommands().First(line => line.StartsWith("dotnet test", StringComparison.Ordinal));

        Assert.Equal("dotnet test -c Release", command);
        Assert.Contains(command, File.ReadLines(Full(".ci/run")).Select(line => line.Trim()));
        Assert.Contains($"- run: {command}", File.ReadLines(Full(".github/workflows/ci.yml")).Select(line => line.Trim()));
    }

    [Fact]
    public void The_readme_runs_projects_of_the_solution()
    {
        string[] projects = [.. ReadmeCommands().Select(line => ProjectArgument().Match(line)).Where(match => match.Success)
            .Select(match => match.Groups["path"].Value).Distinct()];
        string solution = File.ReadAllText(Full("Grpo.sln"));

        Assert.Contains("samples/Gsm8k", projects);
        Assert.All(projects, project =>
        {
            string file = $"{project}/{Path.GetFileName(project)}.csproj";
            Assert.True(File.Exists(Full(file)), file);
            Assert.Contains($"\"{file.Replace('/', '\\')}\"", solution, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void Every_command_of_the_sample_on_a_page_can_be_parsed()
    {
        const string Sample = "--project samples/Gsm8k";
        (string Page, string Line)[] commands = [.. Pages().SelectMany(page => MarkdownBlocks(page)
            .Where(block => block.Language == "bash")
            .SelectMany(block => SignificantLines(block.Lines))
            .Where(line => line.Contains(Sample, StringComparison.Ordinal))
            .Select(line => (page, line.Split(" # ")[0])))]; // without the shell's comment
        Assert.True(commands.Length >= 8, $"Only {commands.Length} commands were found.");

        AssertNone(commands.SelectMany(command =>
        {
            string[] parts = command.Line.Split(Sample, 2)[1].Split(" -- ", 2);
            string[] arguments = parts.Length == 2 ? [.. CommandLineParser.SplitCommandLine(parts[1])] : [];
            return SampleCommands.Parse(arguments).Errors.Select(error => $"{command.Page}: '{command.Line}': {error.Message}");
        }));
    }

    [Fact]
    public void The_metrics_table_names_every_metric()
    {
        var group = new ScoredGroup(new RolloutGroup(Prompt.Create("p", "?"), [1], []), [], []);
        var update = new UpdateReport
        {
            Loss = 0,
            Kl = 0,
            KlCoefficient = 0.04,
            Clip = new Losses.ClipMetrics(0, 0, 0, 0, 0),
            SamplerDifference = new LogProbDifference(0, 0),
            GradientNorm = 1,
            LearningRate = 1,
        };
        var report = new StepReport
        {
            Step = 1,
            MeanReward = 1,
            RewardStdDev = 1,
            Accuracy = 1,
            ZeroStdDevFraction = 0,
            AllRightFraction = 0,
            AllWrongFraction = 0,
            Abstained = 0,
            RewardErrors = 0,
            MeanCompletionTokens = 1,
            TruncatedFraction = 0,
            Entropy = 1,
            CompletionTokens = 1,
            Groups = [group],
            RewardComponents = new Dictionary<string, double> { ["<name>"] = 1 },
            Verdicts = new Dictionary<string, int> { ["<name>"] = 1 },
            Updates = [update],
        };
        var step = new TrainingStep(report) { Evaluation = new EvaluationReport { Count = 1, Accuracy = 1 } };
        string page = File.ReadAllText(Full("docs/getting-started.md"));

        Assert.All(StepMetrics.From(step), metric => Assert.Contains($"| `{metric.Key}` |", page, StringComparison.Ordinal));
    }

    [Fact]
    public void The_worked_example_has_the_advantages_that_the_page_prints()
    {
        double[] advantages = WorkedExample.Advantages();

        // 0.75 / 0.5001 and −0.25 / 0.5001
        Assert.Equal([1.4997, -0.4999, -0.4999, -0.4999], advantages.Select(advantage => Math.Round(advantage, 4)));
    }

    [Theory]
    [InlineData(LossReduction.TokenMean, -0.23329)]
    [InlineData(LossReduction.SequenceMean, -0.06249)]
    [InlineData(LossReduction.FixedLength, -0.04374)]
    public void The_worked_example_has_the_losses_that_the_page_prints(LossReduction reduction, double expected) =>
        Assert.Equal(expected, WorkedExample.Loss(reduction), tolerance: 6e-6); // printed with five decimals

    [Fact]
    public void The_worked_example_has_the_divergence_that_the_page_prints() =>
        Assert.Equal(0.00484, WorkedExample.Kl(), tolerance: 6e-6); // exp(−0.1) + 0.1 − 1, printed with five decimals

    [Fact]
    public async Task The_bigram_model_learns_the_alphabet()
    {
        IReadOnlyList<double> rewards = await AlphabetRun.TrainAsync(steps: 60);

        // Of 27 tokens one is the successor: about 0.03 by chance.
        Assert.InRange(rewards[0], 0, 0.1);
        Assert.InRange(rewards[^1], 0.9, 1);
    }

    [Fact]
    public async Task The_plain_sampler_draws_the_tokens_that_the_librarys_own_draws()
    {
        var tokenizer = new LetterTokenizer();
        using var policy = new BigramPolicy(tokenizer.VocabularySize);
        var request = new RolloutRequest
        {
            Prompts = [Prompt.Create("one", "abc"), Prompt.Create("two", "z")],
            GroupSize = 8,
            Sampling = new SamplingOptions { MaxCompletionTokens = 20 },
            Seed = 7,
            Step = 3,
        };

        IReadOnlyList<RolloutGroup> plain = await new PlainSampler(tokenizer, new LastMessageTemplate()).SampleAsync(policy, request);
        IReadOnlyList<RolloutGroup> own = await new PolicyGroupSampler(tokenizer, new LastMessageTemplate()).SampleAsync(policy, request);

        Assert.Equal(Lines(own), Lines(plain));

        static IEnumerable<string> Lines(IReadOnlyList<RolloutGroup> groups) => groups.SelectMany(group => group.Completions)
            .Select(completion => $"{string.Join(' ', completion.TokenIds)} {completion.Text} {completion.FinishReason}");
    }

    [Fact]
    public void The_bigram_model_decodes_what_its_log_probs_say_and_survives_a_checkpoint()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var trained = new BigramPolicy(vocabularySize: 27);
        trained.Module.parameters().Single().copy_(arange(27 * 27).reshape(27, 27).remainder(11));
        TokenBatch batch = TokenBatchBuilder.Build([new TokenSequence([0, 1], [2, 26]), new TokenSequence([5], [6])], padTokenId: 26, CPU);
        Tensor expected = trained.LogProbs(batch, temperature: 2);

        using IDecodingSession session = trained.StartDecoding(batch, groupSize: 1, maxNewTokens: 2);
        Tensor first = (session.Prefill() / 2).log_softmax(-1);
        Tensor second = (session.Advance(tensor(new long[] { 2, 6 })) / 2).log_softmax(-1);
        string folder = Directory.CreateTempSubdirectory("grpo-bigram-").FullName;
        using var restored = new BigramPolicy(vocabularySize: 27);
        trained.Save(folder);
        restored.Load(folder);
        Directory.Delete(folder, recursive: true);

        Assert.Equal(expected[0, 0].item<float>(), first[0, 2].item<float>());
        Assert.Equal(expected[1, 0].item<float>(), first[1, 6].item<float>());
        Assert.Equal(expected[0, 1].item<float>(), second[0, 26].item<float>());
        Assert.Equal(0, expected[1, 1].item<float>()); // padding
        Assert.Equal(expected.data<float>().ToArray(), restored.LogProbs(batch, temperature: 2).data<float>().ToArray());
    }

    [Fact]
    public void The_memory_pages_examples_leave_nothing_behind()
    {
        long leaked = TensorOwnership.TensorsLeakedBy(() =>
        {
            using var scope = TensorScope.Begin();
            using var sum = new RunningSum(2);
            sum.Add(tensor(new float[] { 1, 2 }));
            sum.Add(tensor(new float[] { 3, 4 }));
            Assert.Equal([4, 6], sum.ToTensor().data<float>().ToArray());
            Assert.Equal([-1, 1], TensorOwnership.Centered(tensor(new float[,] { { 1, 3 } })).data<float>().ToArray());
            Assert.Equal(Math.Log(2), TensorOwnership.MeanEntropy(zeros(1, 1, 2)), tolerance: 1e-6); // two equal outcomes, float32
        });

        Assert.Equal(0, leaked);
    }

    [Fact]
    public void The_unit_reward_judges_the_trial_of_the_page()
    {
        Reward reward = RewardsAtWork.Try();

        Assert.Equal((1.0, "UnitNamed", true), (reward.Value, reward.Verdict, reward.IsCorrect));
        Assert.Null(new UnitReward().Score(Prompt.Create("p", "?"), new Completion([], "", FinishReason.Truncated)).Value);
    }

    private static void AssertNone(IEnumerable<string> problems) =>
        Assert.True(!problems.Any(), string.Join(Environment.NewLine, problems)); // Assert.Empty would cut the list

    private static IEnumerable<string> Pages() =>
        Directory.EnumerateFiles(SharedData.RepositoryRoot, "*.md").Select(Path.GetFileName).Select(name => name!)
            .Concat(FilesBelow("docs", "*.md")).Concat(FilesBelow("samples", "*.md")).Order(StringComparer.Ordinal);

    private static IEnumerable<string> FilesBelow(string folder, string pattern) =>
        Directory.EnumerateFiles(Full(folder), pattern, SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(SharedData.RepositoryRoot, file).Replace('\\', '/'))
            .Where(file => !file.Split('/').Any(part => part is "bin" or "obj"));

    private static string Full(string relative) => Path.Combine(SharedData.RepositoryRoot, relative);

    private static string[] SignificantLines(IEnumerable<string> lines) =>
        [.. lines.Select(line => line.Trim()).Where(line => line.Length > 0)];

    // How many of the block's first lines stand in the source one after the other, at best.
    private static int LongestRun(string[] block, string[] source)
    {
        int longest = 0;
        for (int start = 0; start < source.Length; start++)
        {
            int length = 0;
            while (length < block.Length && start + length < source.Length && source[start + length] == block[length])
            {
                length++;
            }

            longest = Math.Max(longest, length);
        }

        return longest;
    }

    private static IEnumerable<string> ReadmeCommands() =>
        MarkdownBlocks("README.md").Where(block => block.Language == "bash").SelectMany(block => SignificantLines(block.Lines));

    private static IEnumerable<CodeBlock> MarkdownBlocks(string page)
    {
        string[] lines = File.ReadAllLines(Full(page));
        for (int i = 0; i < lines.Length; i++)
        {
            if (Fence().Match(lines[i]) is { Success: true } open)
            {
                int end = Array.FindIndex(lines, i + 1, line => line.Trim() == "```");
                Assert.True(end > i, $"{page}, line {i + 1}: the block is not closed.");
                yield return new CodeBlock(i + 1, open.Groups["language"].Value, lines[(i + 1)..end]);
                i = end;
            }
        }
    }

    private static IEnumerable<string> Prose(string page)
    {
        bool inBlock = false;
        foreach (string line in File.ReadLines(Full(page)))
        {
            if (Fence().IsMatch(line))
            {
                inBlock = !inBlock;
            }
            else if (!inBlock)
            {
                yield return line;
            }
        }
    }

    // As code hosts name them: lower case, punctuation dropped, spaces to hyphens.
    private static HashSet<string> Headings(string path) => [.. Prose(Path.GetRelativePath(SharedData.RepositoryRoot, path))
        .Where(line => line.StartsWith('#'))
        .Select(line => string.Concat(line.TrimStart('#').Trim().ToLowerInvariant()
            .Where(letter => char.IsLetterOrDigit(letter) || letter is ' ' or '-' or '_')).Replace(' ', '-'))];

    private sealed record CodeBlock(int Line, string Language, IReadOnlyList<string> Lines);

    [GeneratedRegex(@"^\s*```(?<language>\S*)", RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex Fence();

    [GeneratedRegex(@"\]\((?<target>[^)\s]+)\)", RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex Link();

    [GeneratedRegex(@"--project (?<path>\S+)", RegexOptions.ExplicitCapture | RegexOptions.NonBacktracking)]
    private static partial Regex ProjectArgument();
}
