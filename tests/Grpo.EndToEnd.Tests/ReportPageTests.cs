using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>The report as a browser shows it.</summary>
[Trait("Speed", "Slow")]
public sealed class ReportPageTests : IDisposable
{
    private const string Hostile =
        "<script>window.owned = 1; alert(1)</script><img src=x onerror='window.owned=2;alert(2)'> \"'`& \u001b[31m \u009b2J\u0000 "
            + "\u202Egnp\u2066 \uD83D \uDE00\uD83D </title></style></div></svg><svg onload=alert(3)> "
            + "javascript:alert(4) {{7*7}} \u2028 \uFEFF";
    private const string HostileShown =
        "<script>window.owned = 1; alert(1)</script><img src=x onerror='window.owned=2;alert(2)'> \"'`& [U+001B][31m [U+009B]2J[U+0000] "
            + "[U+202E]gnp[U+2066] [U+D83D] [U+DE00][U+D83D] </title></style></div></svg><svg onload=alert(3)> "
            + "javascript:alert(4) {{7*7}} [U+2028] [U+FEFF]";

    // What the tokens of a hostile vocabulary decode to.
    private const string HostileLetters = "abcdefgh<>&\"'/=\u001b\u202E\u0000\uD83D";

    private static readonly string[] Charts =
    [
        "chart-accuracy", "chart-reward", "chart-kl", "chart-entropy", "chart-clip", "chart-length", "chart-truncated", "chart-silent",
        "chart-gradient", "chart-rate", "chart-throughput", "chart-time",
    ];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [ChromiumFact]
    public async Task Report_opens_without_errors_or_requests_and_shows_hostile_text_as_text()
    {
        string url = await WriteReportAsync(HostileLetters);
        await using Chromium browser = await Chromium.StartAsync();
        await browser.ShowAsAsync(390, 844, mobile: true, "light");
        await browser.NavigateAsync(url);

        Assert.Equal(Charts, (await browser.EvaluateAsync("[...document.querySelectorAll('svg[role=img]')].map(chart => chart.id)"))!
            .AsArray().Select(id => id!.GetValue<string>()));
        Assert.Equal(0, (await browser.EvaluateAsync(
            "[...document.querySelectorAll('svg[role=img]')].filter(chart => chart.getBoundingClientRect().height < 80 || "
            + "!chart.querySelector('path.line, path.area')).length"))!.GetValue<int>());
        string[] texts = [.. (await browser.EvaluateAsync("[...document.querySelectorAll('.pair .text')].map(text => text.textContent)"))!
            .AsArray().Select(text => text!.GetValue<string>())];
        Assert.Equal([HostileShown, HostileShown], texts[..2]);
        Assert.Equal(0, (await browser.EvaluateAsync(
            "document.querySelectorAll('script, img, [onerror], [onload], a[href^=javascript]').length"))!.GetValue<int>());
        Assert.Equal("undefined", (await browser.EvaluateAsync("typeof window.owned"))!.GetValue<string>());
        Assert.Equal("GRPO run report", (await browser.EvaluateAsync("document.title"))!.GetValue<string>());
        Assert.Equal(HostileShown, (await browser.EvaluateAsync(
            "[...document.querySelectorAll('dt')].find(name => name.textContent === 'Command').nextElementSibling.textContent"))!
            .GetValue<string>());
        string name = System.Text.Json.JsonSerializer.Serialize(HostileShown[..60]); // long names are cut
        Assert.True((await browser.EvaluateAsync(
            $"[...document.querySelectorAll('dt')].some(term => term.textContent.startsWith({name}))"))!.GetValue<bool>());
        Assert.False((await browser.EvaluateAsync(
            "/[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069\\ufeff\\ufffd]/.test"
            + "(document.documentElement.textContent)"))!.GetValue<bool>());

        Assert.Empty(browser.Events(
            "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded",
            "Page.javascriptDialogOpening").Select(item => item.ToJsonString()));
        Assert.Equal(
            [url], browser.Events("Network.requestWillBeSent").Select(item => item["params"]!["request"]!["url"]!.GetValue<string>()));
    }

    [ChromiumFact]
    public async Task Report_would_not_run_a_script_that_got_into_it()
    {
        string url = await WriteReportAsync();
        await using Chromium browser = await Chromium.StartAsync();
        await browser.NavigateAsync(url);

        JsonNode? ran = await browser.EvaluateAsync("""
            (() => { const script = document.createElement('script'); script.textContent = 'window.ran = true';
                const image = document.createElement('img'); image.src = 'https://example.invalid/x.png';
                document.body.append(script); document.body.append(image);
                return window.ran === true; })()
            """);

        Assert.False(ran!.GetValue<bool>());
        Assert.NotEmpty(browser.Events("Log.entryAdded", "Audits.issueAdded")); // so the other test would have seen a violation
        Assert.DoesNotContain(
            browser.Events("Network.responseReceived"), item => item.ToJsonString().Contains("example.invalid", StringComparison.Ordinal));
    }

    [ChromiumTheory]
    [InlineData(390, 844, true, "light", "phone-light")]
    [InlineData(390, 844, true, "dark", "phone-dark")]
    [InlineData(1280, 900, false, "light", "desktop-light")]
    [InlineData(1280, 900, false, "dark", "desktop-dark")]
    public async Task Report_fits_the_screen_in_both_color_schemes(int width, int height, bool mobile, string scheme, string name)
    {
        string url = await WriteReportAsync();
        await using Chromium browser = await Chromium.StartAsync();
        await browser.ShowAsAsync(width, height, mobile, scheme);
        await browser.NavigateAsync(url);

        Assert.InRange((await browser.EvaluateAsync("document.documentElement.scrollWidth"))!.GetValue<int>(), 1, width);
        int[] background = Channels((await browser.EvaluateAsync("getComputedStyle(document.body).backgroundColor"))!.GetValue<string>());
        int[] ink = Channels((await browser.EvaluateAsync("getComputedStyle(document.body).color"))!.GetValue<string>());
        Assert.Equal(scheme == "dark", background.Sum() < ink.Sum());
        Assert.True(Math.Abs(background.Sum() - ink.Sum()) > 3 * 150, "Ink and page are too much alike.");

        byte[] png = await browser.ScreenshotAsync();
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], png[..4]);
        Assert.Equal(width * (mobile ? 2 : 1), BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(16)));
        Assert.True(BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(20)) > 2000, "The screenshot is not of the whole page.");
        Assert.True(png.Length > 100_000, "The screenshot is all but empty.");
        string folder = Path.Combine(AppContext.BaseDirectory, "screenshots");
        Directory.CreateDirectory(folder);
        await File.WriteAllBytesAsync(Path.Combine(folder, $"report-{name}.png"), png);
    }

    [ChromiumFact]
    public async Task Report_changes_the_colors_of_tokens_without_a_script()
    {
        string url = await WriteReportAsync();
        await using Chromium browser = await Chromium.StartAsync();
        await browser.NavigateAsync(url);
        const string color = "getComputedStyle(document.querySelector("
            + "'.group .t.rp3, .group .t.rp4, .group .t.rn3, .group .t.rn4, .group .t.rp2, .group .t.rn2')).backgroundColor";

        string byAdvantage = (await browser.EvaluateAsync(color))!.GetValue<string>();
        await browser.EvaluateAsync("document.querySelector('label[for=by-ratio]').click()");
        string byRatio = (await browser.EvaluateAsync(color))!.GetValue<string>();
        await browser.EvaluateAsync("document.querySelector('label[for=by-entropy]').click()");
        string byEntropy = (await browser.EvaluateAsync(color))!.GetValue<string>();

        Assert.Equal(3, new HashSet<string> { byAdvantage, byRatio, byEntropy }.Count);
        Assert.Equal("Entropy", (await browser.EvaluateAsync("document.querySelector('.tokens > input:checked + label').textContent"))!
            .GetValue<string>());
        Assert.True((await browser.EvaluateAsync(
            "document.querySelector('.help-entropy').checkVisibility() && !document.querySelector('.help-advantage').checkVisibility()"))!
            .GetValue<bool>());
    }

    [Fact]
    public async Task Train_writes_the_report_and_says_where_and_event_files_when_asked()
    {
        string output = _folder["run"];
        SampleProcess.Result run = (await SampleProcess.RunAsync(
            "Gsm8k", "--steps", "1", "--prompts-per-step", "2", "--eval-count", "4", "--max-completion-tokens", "40", "--tensorboard",
            "true", "--output", output)).Succeeded();

        string report = Path.Combine(output, "report.html");
        Assert.Contains($"Report: {report}", run.Output, StringComparison.Ordinal);
        string page = await File.ReadAllTextAsync(report);
        Assert.Contains("Trained for 1 step", page, StringComparison.Ordinal);
        Assert.Contains("<dt>Model</dt><dd>the tiny built-in Qwen2</dd>", page, StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(Path.Combine(output, "tensorboard"), "events.out.tfevents.*"));
    }

    // A real run of a little policy, with an evaluator that answers what a hostile model would.
    private async Task<string> WriteReportAsync(string letters = "abcdefgh")
    {
        var tokenizer = new CharTokenizer(letters);
        using var policy = new BigramPolicy(tokenizer.VocabularySize, seed: 11);
        using var reference = new BigramPolicy(tokenizer.VocabularySize, seed: 11);
        var options = new GrpoOptions
        {
            GroupSize = 8,
            PromptsPerStep = 4,
            LearningRate = 0.1,
            KlCoefficient = 0.01,
            Sampling = new SamplingOptions { MaxCompletionTokens = 24, MaxPromptTokens = 8 },
        };
        using var optimizer = new GrpoOptimizer(
            policy, new PolicyGroupSampler(tokenizer, new PlainTemplate()), new VowelReward(), options, reference);
        var report = new HtmlReport(
            _folder["report.html"], [new("Model", "a bigram table"), new("Command", Hostile), new(Hostile, "1")],
            new TokenDetails(policy, tokenizer));
        var trainer = new GrpoTrainer(
            optimizer,
            [Prompt.Create("p0", "b"), Prompt.Create("p1", "dec"), Prompt.Create("p2", "ad"), Prompt.Create("p3", "hge")],
            new TrainerOptions { Steps = 30, EvaluateEvery = 5 },
            new TrainerServices { Evaluator = new HostileEvaluator(), Callbacks = [report] });
        await trainer.TrainAsync();
        return new Uri(report.FilePath).AbsoluteUri;
    }

    private static int[] Channels(string color) =>
        [.. color[(color.IndexOf('(', StringComparison.Ordinal) + 1)..].TrimEnd(')').Split(',').Take(3).Select(int.Parse)];

    private sealed class VowelReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion)
        {
            double share = completion.Text.Count(letter => letter is 'a' or 'e') / Math.Max(1.0, completion.Text.Length);
            return new Reward(share) { IsCorrect = share > 0.4, Verdict = share > 0.4 ? "Correct" : "TooFew" };
        }
    }

    private sealed class HostileEvaluator : IEvaluator
    {
        private int _calls;

        public ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
        {
            int right = 10 + (5 * _calls++);
            return ValueTask.FromResult(new EvaluationReport
            {
                Count = 64,
                Accuracy = right / 64.0,
                Groups = [.. Enumerable.Range(0, 64).Select(i => new RolloutGroup(
                    Prompt.Create($"e{i}{Hostile}", Hostile, answer: Hostile), [2],
                    [new Completion([2], Hostile, FinishReason.EndToken)]))],
                Rewards = [.. Enumerable.Range(0, 64)
                    .Select(i => new Reward(i < right ? 1 : 0) { IsCorrect = i < right, Verdict = i < right ? "Correct" : Hostile })],
            });
        }
    }
}

/// <summary>A theory that needs a Chromium, and says so where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ChromiumTheoryAttribute : TheoryAttribute
{
    public ChromiumTheoryAttribute() => Skip = new ChromiumFactAttribute().Skip;
}
