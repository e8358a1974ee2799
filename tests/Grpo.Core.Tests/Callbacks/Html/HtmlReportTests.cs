using System.Globalization;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.Core.Tests.Callbacks;

public sealed partial class HtmlReportTests : IDisposable
{
    private const string Hostile = "<script>alert(1)</script>\"'&\u001b[31m\u202Egnp\uD83D</td></svg>-->]]>";
    private const string HostileShown = "<script>alert(1)</script>\"'&[U+001B][31m[U+202E]gnp[U+D83D]</td></svg>-->]]>";

    private static readonly string[] Charts =
    [
        "chart-accuracy", "chart-reward", "chart-kl", "chart-entropy", "chart-clip", "chart-length", "chart-truncated", "chart-silent",
        "chart-gradient", "chart-rate", "chart-throughput", "chart-time",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Report_has_every_chart_of_a_full_step()
    {
        XDocument page = await WriteAsync([StepMetricsTests.FullReport()], Summary());

        XElement[] charts = [.. page.Descendants("svg")];
        Assert.Equal(Charts, charts.Select(chart => chart.Attribute("id")!.Value));
        Assert.All(charts, chart => Assert.Equal("img", chart.Attribute("role")!.Value));
        Assert.All(charts, chart => Assert.False(string.IsNullOrWhiteSpace(chart.Element("title")!.Value + chart.Element("desc")!.Value)));
        Assert.Equal(Charts.Length, page.Descendants("details").Count(details => details.Descendants("tr").Count() >= 2));
        Assert.Contains("step 7: held-out 75 %", Text(page).Replace('\u00a0', ' '), StringComparison.Ordinal);
        Assert.Contains("30.1 % to 95.4 %", Text(page).Replace('\u00a0', ' '), StringComparison.Ordinal); // 3 of 4
    }

    [Fact]
    public async Task Report_of_a_run_without_steps_says_what_is_missing()
    {
        XDocument page = await WriteAsync([], Summary() with { Steps = 0, Canceled = true });

        Assert.Empty(page.Descendants("svg"));
        Assert.Contains("Stopped after 0 steps", Text(page), StringComparison.Ordinal);
        Assert.Contains("The run was stopped before its last step", Text(page), StringComparison.Ordinal);
        Assert.Contains("the run had no evaluator", Text(page), StringComparison.Ordinal);
        Assert.Contains("There are no held-out completions", Text(page), StringComparison.Ordinal);
        Assert.Contains("No step of this run had a group with a signal", Text(page), StringComparison.Ordinal);
        Assert.Equal(Charts.Length, page.Descendants("p")
            .Count(item => item.Attribute("id")?.Value.StartsWith("chart-", StringComparison.Ordinal) == true));
    }

    [Fact]
    public async Task Report_leaves_gaps_for_numbers_that_are_missing_or_not_finite()
    {
        TrainingStep full = StepMetricsTests.FullReport();
        UpdateReport infinite = full.Report.Updates[0] with { Kl = double.NaN, GradientNorm = double.PositiveInfinity, Clip = null };
        TrainingStep nothing = full with
        {
            Report = full.Report with
            {
                Step = 2,
                MeanReward = double.NaN,
                Accuracy = null,
                Entropy = null,
                Updates = [infinite],
                Groups = [],
            },
            Evaluation = new EvaluationReport { Count = 0, Accuracy = null, MeanReward = double.NaN },
        };

        XDocument page = await WriteAsync([full with { Report = full.Report with { Step = 1 } }, nothing, full with
        {
            Report = full.Report with { Step = 3 },
        }, full with { Report = full.Report with { Step = 4, MeanReward = 1e308 } }], Summary());

        Assert.All(page.Descendants("svg").Descendants().Attributes(), attribute => Assert.DoesNotMatch("NaN|∞|Infinity", attribute.Value));
        Assert.DoesNotContain("NaN", Text(page), StringComparison.Ordinal);
        XElement kl = page.Descendants("svg").Single(chart => chart.Attribute("id")!.Value == "chart-kl");
        Assert.Equal(3, kl.Elements("circle").Count());  // steps 1, 3 and 4
        // 3 to 4; 1 stands alone
        Assert.Single(kl.Elements("path"), path => path.Attribute("class")!.Value.StartsWith("line", StringComparison.Ordinal));
        XElement[] row = [.. page.Descendants("details").Single(
            details => details.Value.StartsWith("Numbers: KL", StringComparison.Ordinal)).Descendants("tr").ElementAt(2).Elements()];
        Assert.Equal(["2", "–"], row.Select(cell => cell.Value));
    }

    [Fact]
    public async Task Report_shows_hostile_text_and_nothing_more()
    {
        var completion = new Completion([2, 3], Hostile, FinishReason.Truncated);
        var group = new RolloutGroup(Prompt.Create(Hostile, Hostile, answer: Hostile), [2], [completion, completion]);
        Reward good = new Reward(1) { Verdict = Hostile, IsCorrect = true }, bad = new Reward(0) { Verdict = Hostile, IsCorrect = false };
        EvaluationReport before = Evaluation(bad), after = Evaluation(good);
        TrainingStep full = StepMetricsTests.FullReport();
        TrainingStep step = full with
        {
            Report = full.Report with { Groups = [new ScoredGroup(group, [good, bad], [1, -1])] },
            Evaluation = after,
        };

        XDocument page = await WriteAsync(
            [step], Summary() with { Before = before, After = after }, [new(Hostile, Hostile), new("Model", Hostile)]);

        Assert.Equal(2, page.Descendants("div").Count(item => item.Attribute("class")?.Value == "side"
            && item.Value.Contains(HostileShown, StringComparison.Ordinal) && !item.Value.Contains("Advantage", StringComparison.Ordinal)));
        Assert.Contains(page.Descendants("dt"), item => item.Value == HostileShown);
        Assert.Contains(page.Descendants("dd"), item => item.Value == HostileShown);
        Assert.Empty(page.Descendants("script"));
        Assert.DoesNotContain(
            page.Descendants(), item => item.Name.LocalName is "img" or "a" or "link" or "iframe" or "object" or "form" or "base");
        Assert.DoesNotContain(
            page.Descendants().Attributes(), attribute => attribute.Name.LocalName.StartsWith("on", StringComparison.OrdinalIgnoreCase));
        string html = await File.ReadAllTextAsync(_folder["report.html"]);
        Assert.DoesNotMatch(@"https?:|//|url\(|@import", html.Replace(HtmlText.Encode(Hostile), "", StringComparison.Ordinal));

        EvaluationReport Evaluation(Reward reward) =>
            new() { Count = 1, Accuracy = 1, Groups = [group with { Completions = [completion] }], Rewards = [reward] };
    }

    [Theory]
    [InlineData("tr-TR")]
    [InlineData("ar-SA")]
    [InlineData("de-DE")]
    public async Task Report_is_the_same_in_every_culture(string culture)
    {
        string expected = await HtmlAsync(CultureInfo.InvariantCulture);
        Assert.Equal(expected, await HtmlAsync(CultureInfo.GetCultureInfo(culture)));

        async Task<string> HtmlAsync(CultureInfo used)
        {
            CultureInfo before = CultureInfo.CurrentCulture;
            try
            {
                CultureInfo.CurrentCulture = used;
                await WriteAsync([StepMetricsTests.FullReport(), Long(1234567, -1234.5)], Summary(), tokens: Details());
                return WrittenAt().Replace(await File.ReadAllTextAsync(_folder["report.html"]), "");
            }
            finally
            {
                CultureInfo.CurrentCulture = before;
            }
        }
    }

    [Fact]
    public async Task Report_of_a_hundred_thousand_steps_stays_small()
    {
        TrainingStep full = StepMetricsTests.FullReport();
        await WriteAsync(Enumerable.Range(1, 100_000).Select(step => Long(step, Math.Sin(step))), Summary());

        Assert.InRange(new FileInfo(_folder["report.html"]).Length, 100_000, 2_000_000);
    }

    [Fact]
    public async Task Report_keeps_no_more_of_a_long_run_than_two_steps_groups()
    {
        var report = new HtmlReport(_folder["report.html"]);
        await report.OnStartAsync(new TrainingStart(0, 300, Toy.Options));
        List<WeakReference> groups = [];
        for (int step = 1; step <= 300; step++)
        {
            await AddAsync(step);
        }

        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        Assert.InRange(groups.Count(group => group.IsAlive), 0, 4);
        GC.KeepAlive(report);

        async Task AddAsync(int step)
        {
            TrainingStep full = StepMetricsTests.FullReport(step);
            groups.Add(new WeakReference(full.Report.Groups[0].Group.Completions));
            await report.OnStepAsync(full);
        }
    }

    [Fact]
    public async Task Report_colors_the_tokens_of_a_real_run()
    {
        using var policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var report = new HtmlReport(_folder["report.html"], tokens: new TokenDetails(policy, Toy.Tokenizer));
        var trainer = new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 12 }, new TrainerServices { Callbacks = [report] });
        TrainingStep? first = null;
        await foreach (TrainingStep step in trainer.RunAsync())
        {
            first ??= step;
        }

        XDocument page = Parse();
        XElement[] groups = [.. page.Descendants("article").Where(item => item.Attribute("class")!.Value == "card group")];
        Assert.InRange(groups.Length, 2, 4);
        ShownGroup shown = GroupChoice.Of(first!.Report)[0];
        Completion completion = shown.Completions[0].Completion;
        XElement[] tokens = [.. groups[0].Descendants("span")
            .Where(item => item.Attribute("class")!.Value.StartsWith("t ", StringComparison.Ordinal)).Take(completion.TokenIds.Count)];
        Assert.Equal(
            Toy.Tokenizer.Decode(completion.TokenIds, skipSpecialTokens: false), string.Concat(tokens.Select(token => token.Value)));
        int last = shown.PromptTokenIds[^1];
        for (int t = 0; t < tokens.Length; t++)
        {
            double ratio = policy.Probability(last, completion.TokenIds[t]) / Math.Exp(completion.LogProbs![t]);
            Match title = Regex.Match(tokens[t].Attribute("title")!.Value, @"^advantage \+[0-9.]+, ratio ([0-9.]+), entropy [0-9.]+$");
            Assert.True(title.Success, tokens[t].ToString());
            Assert.Equal(ratio, double.Parse(title.Groups[1].Value, CultureInfo.InvariantCulture), 2e-3); // three decimals
            last = completion.TokenIds[t];
        }
    }

    [Fact]
    public async Task Report_shows_whole_completions_when_it_has_no_policy()
    {
        XDocument page = await WriteAsync([StepMetricsTests.FullReport()], Summary());

        Assert.Equal(["t ap2", "t an2"], page.Descendants("span").Select(item => item.Attribute("class")?.Value)
            .Where(style => style?.StartsWith("t ", StringComparison.Ordinal) == true));
        Assert.Empty(page.Descendants("input"));
    }

    [Fact]
    public async Task Report_is_written_when_the_run_is_canceled()
    {
        using var policy = Toy.Policy();
        using var cancellation = new CancellationTokenSource();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        var report = new HtmlReport(_folder["deep/er/report.html"]);
        var trainer = new GrpoTrainer(
            optimizer, Toy.Prompts, new TrainerOptions { Steps = 5 }, new TrainerServices { Callbacks = [report] });

        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (TrainingStep _ in trainer.RunAsync(cancellation.Token))
            {
                await cancellation.CancelAsync();
            }
        });

        Assert.Contains("Stopped after 1 step", await File.ReadAllTextAsync(report.FilePath), StringComparison.Ordinal);
        Assert.Equal([report.FilePath], Directory.GetFiles(_folder["deep/er"])); // no temporary file is left
    }

    [Fact]
    public async Task OnEndAsync_says_which_file_cannot_be_written()
    {
        Directory.CreateDirectory(_folder["report.html"]);
        var exception = await Assert.ThrowsAsync<IOException>(() => WriteAsync([], Summary()));
        Assert.StartsWith($"The report '{_folder["report.html"]}' cannot be written:", exception.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    private static TrainingSummary Summary() => new() { Steps = 3, CompletionTokens = 12_345, Elapsed = TimeSpan.FromSeconds(83) };

    private static TokenDetails Details() => new(Toy.Policy(), Toy.Tokenizer);

    private async Task<XDocument> WriteAsync(
        IEnumerable<TrainingStep> steps, TrainingSummary summary, IReadOnlyList<KeyValuePair<string, string>>? facts = null,
        TokenDetails? tokens = null)
    {
        var report = new HtmlReport(_folder["report.html"], facts, tokens);
        await report.OnStartAsync(new TrainingStart(0, 9, Toy.Options));
        foreach (TrainingStep step in steps)
        {
            await report.OnStepAsync(step);
        }

        await report.OnEndAsync(summary);
        return Parse();
    }

    // The page is well-formed XML: what escapes its place is an error here.
    private XDocument Parse()
    {
        using var reader = XmlReader.Create(
            _folder["report.html"], new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null });
        return XDocument.Load(reader);
    }

    private static string Text(XDocument page) => page.Root!.Element("body")!.Value;

    [GeneratedRegex("<dt>Written</dt><dd>[^<]*</dd>")]
    private static partial Regex WrittenAt();

    private static TrainingStep Long(long number, double reward)
    {
        TrainingStep full = StepMetricsTests.FullReport(number);
        return full with { Report = full.Report with { MeanReward = reward } };
    }
}
