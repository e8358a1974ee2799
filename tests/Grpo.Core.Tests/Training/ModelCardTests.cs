using System.Text.RegularExpressions;
using CsCheck;
using Grpo.Evaluation;
using Grpo.Testing;
using Grpo.Training;
using YamlDotNet.RepresentationModel;

namespace Grpo.Core.Tests.Training;

public sealed class ModelCardTests
{
    private static readonly EvaluationReport Quarter = new()
    {
        Count = 8,
        Accuracy = 0.25,
        AccuracyInterval = new ConfidenceInterval(0.0715, 0.5907), // Wilson, 2 of 8
        MeanReward = 0.275,
    };

    [Fact]
    public void ToMarkdown_states_data_reward_method_and_results()
    {
        var card = new ModelCard
        {
            Title = "tiny",
            BaseModel = "Qwen/Qwen2.5-0.5B",
            License = "apache-2.0",
            Datasets = ["openai/gsm8k"],
            Data = "7473 prompts, SHA-256 ebc5a4e9e270ed98",
            Reward = new Dictionary<string, string> { ["reward"] = "GSM8K", ["reward.Correct earns"] = "1" },
            Options = new Dictionary<string, string?>
            {
                ["GrpoOptions.WeightDecay"] = "0",
                ["GrpoOptions.GroupSize"] = "8",
                ["GrpoOptions.Objective"] = "clipped(Low=0.2, High=0.2)",
                ["GrpoOptions.KlTarget"] = null,
            },
            Task = new TaskDescription { SystemPrompt = "Solve it.\nUse ```code```.", AnswerFormat = "TagAnswer", MaxPromptTokens = 64 },
            Results =
            [
                new ModelCardResult("before training", Quarter) { IsOfThisModel = false }, new ModelCardResult("after step 2", Quarter),
            ],
        };

        Assert.Equal(
            """
            ---
            license: "apache-2.0"
            library_name: "transformers"
            pipeline_tag: "text-generation"
            base_model: "Qwen/Qwen2.5-0.5B"
            tags:
            - "grpo"
            - "reinforcement-learning"
            datasets:
            - "openai/gsm8k"
            model-index:
            - name: "tiny"
              results:
              - task:
                  type: "text-generation"
                dataset:
                  name: "held-out problems"
                  type: "other"
                metrics:
                - type: "accuracy"
                  value: 0.25
                  name: "accuracy (8 problems, 95 % interval 0.0715 to 0.5907)"
            ---

            # tiny

            This model was trained with Grpo, a .NET library for group relative policy optimization (GRPO).

            ## Data

            Training data: openai/gsm8k.

            7473 prompts, SHA-256 ebc5a4e9e270ed98.

            ## Reward

            | Name | Value |
            |---|---|
            | reward | GSM8K |
            | reward.Correct earns | 1 |

            ## Method

            | Name | Value |
            |---|---|
            | GrpoOptions.Objective | clipped(Low=0.2, High=0.2) |
            | GrpoOptions.GroupSize | 8 |

            <details><summary>All options</summary>

            | Name | Value |
            |---|---|
            | GrpoOptions.GroupSize | 8 |
            | GrpoOptions.KlTarget | – |
            | GrpoOptions.Objective | clipped(Low=0.2, High=0.2) |
            | GrpoOptions.WeightDecay | 0 |

            </details>

            ## Results

            | Evaluation | Data | Problems | Measure | Value | Interval |
            |---|---|---|---|---|---|
            | before training | held-out problems | 8 | accuracy | 25.0 % | 95 %: 7.2 % to 59.1 % |
            | before training | held-out problems | 8 | mean reward | 0.275 | – |
            | after step 2 | held-out problems | 8 | accuracy | 25.0 % | 95 %: 7.2 % to 59.1 % |
            | after step 2 | held-out problems | 8 | mean reward | 0.275 | – |

            The intervals are Wilson intervals. They tell how much a value depends on the choice of the problems, and not how much it
            would differ in another run: this is one run. Intervals that overlap decide nothing.

            ## Use

            The model answers best if it is prompted as in its training.

            - Form of the answer: TagAnswer
            - Longest prompt and completion in tokens: 64 and unknown
            - System message:

            ````text
            Solve it.
            Use ```code```.
            ````

            ## License

            License of this model: apache-2.0.

            """.ReplaceLineEndings("\n"),
            card.ToMarkdown());
    }

    [Fact]
    public void ToMarkdown_says_what_is_not_recorded()
    {
        string page = new ModelCard { Title = "tiny" }.ToMarkdown();

        foreach (string sentence in (string[])
        [
            "license: \"unknown\"", "No data set on a hub is named.", "The data is not recorded further.", "The reward is not recorded.",
            "The options of the run are not recorded.", "No evaluation is recorded.", "The prompts of the training are not recorded.",
            "The author has stated none. The licenses of the base model and of the data apply in any case.",
        ])
        {
            Assert.Contains(sentence, page, StringComparison.Ordinal);
        }

        Assert.DoesNotContain("model-index", page, StringComparison.Ordinal);
        Assert.DoesNotContain("base_model", page, StringComparison.Ordinal);
    }

    [Fact]
    public void ToMarkdown_has_yaml_that_another_reader_reads_alike() => Gen.String[Gen.Char, 1, 40].Sample(text =>
    {
        // A name is a line of text; half a surrogate pair is none, and every reader may replace it.
        if (string.IsNullOrWhiteSpace(text) || text.Any(char.IsSurrogate))
        {
            return;
        }

        var card = new ModelCard
        {
            Title = text,
            Results = [new ModelCardResult("end", Quarter) { Data = text }],
        };
        YamlMappingNode root = FrontMatter(card);
        YamlNode result = root["model-index"][0];
        Assert.Equal(text, ((YamlScalarNode)result["name"]).Value);
        Assert.Equal("0.25", ((YamlScalarNode)result["results"][0]["metrics"][0]["value"]).Value);
    });

    [Theory]
    [InlineData("\n---\nlicense: mit")]
    [InlineData("\" : {")]
    [InlineData("yes")]
    [InlineData("a\u2028b\u0085c\u0000")]
    [InlineData("|table|<script>alert(1)</script>")]
    public void ToMarkdown_lets_no_text_out_of_its_place(string text)
    {
        var card = new ModelCard
        {
            Title = text + "x",
            Data = text,
            Reward = new Dictionary<string, string> { [text] = text },
            Options = new Dictionary<string, string?> { ["GrpoOptions.Objective"] = text },
            Results = [new ModelCardResult(text, Quarter)],
        };

        Assert.Equal("unknown", ((YamlScalarNode)FrontMatter(card)["license"]).Value);
        string body = card.ToMarkdown().Split("\n---\n", 2)[1];
        Assert.DoesNotContain("<script>", body, StringComparison.Ordinal);
        Assert.DoesNotContain("\n---\n", body, StringComparison.Ordinal);
        Assert.All(
            body.Split('\n').Where(line => line.StartsWith('|')),
            line => Assert.True(Regex.Count(line, @"(?<!\\)\|") is 3 or 7, line)); // two columns or six
    }

    [Theory]
    [InlineData("/home/me/data/train.jsonl")]
    [InlineData("read from ~/data.jsonl")]
    [InlineData(@"C:\data\train.jsonl")]
    [InlineData(@"\\server\share")]
    [InlineData("file:///data")]
    [InlineData("../data/train.jsonl")]
    public void ToMarkdown_shows_no_local_path(string text)
    {
        var card = new ModelCard
        {
            Title = "tiny",
            Data = text,
            Reward = new Dictionary<string, string> { ["reward.judge"] = text },
            Options = new Dictionary<string, string?> { ["GrpoOptions.Objective"] = text },
            Results = [new ModelCardResult("end", Quarter) { Data = text }],
        };

        string page = card.ToMarkdown();

        Assert.DoesNotContain("data.jsonl", page, StringComparison.Ordinal);
        Assert.DoesNotContain("train.jsonl", page, StringComparison.Ordinal);
        Assert.DoesNotContain("server", page, StringComparison.Ordinal);
        Assert.Contains("(a local path)", page, StringComparison.Ordinal);
        Assert.Contains("held-out problems in a file of the author", page, StringComparison.Ordinal);
    }

    [Fact]
    public void ToMarkdown_shows_no_token()
    {
        const string Token = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345";
        var card = new ModelCard
        {
            Title = "tiny",
            Data = $"fetched with {Token}",
            Task = new TaskDescription { SystemPrompt = Token },
            Results = [new ModelCardResult("end", Quarter) { Data = Token }],
        };

        Assert.DoesNotContain(Token, card.ToMarkdown().Replace("\\", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void ToMarkdown_refuses_what_a_hub_would_refuse()
    {
        Refuses(card => card.BaseModel = "/models/qwen", "ModelCard.BaseModel is '/models/qwen' but must be owner/name.");
        Refuses(card => card.Datasets = ["gsm8k"], "ModelCard.Datasets is 'gsm8k' but must be owner/name.");
        Refuses(card => card.License = "my license", "ModelCard.License is 'my license' but must be one word");
        Refuses(card => card.Tags = [""], "ModelCard.Tags is '' but must be one word");
        Refuses(card => card.Title = " ", "ModelCard.Title is ' ' but must be a line of text.");
    }

    [Fact]
    public void ToMarkdown_keeps_sampled_accuracies_with_their_intervals()
    {
        EvaluationReport report = Quarter with
        {
            Sampled = new SampledEvaluation
            {
                SamplesPerPrompt = 4,
                Accuracies =
                [
                    new SampledAccuracy
                    {
                        K = 4,
                        Count = 8,
                        Pass = 0.5,
                        PassInterval = new ConfidenceInterval(0.2152, 0.7848),
                        Majority = 0.375,
                        MajorityInterval = new ConfidenceInterval(0.1368, 0.6943),
                    },
                ],
            },
        };
        var card = new ModelCard { Title = "tiny", Results = [new ModelCardResult("end", report) { Data = "openai/gsm8k" }] };

        string page = card.ToMarkdown();

        Assert.Contains("| end | openai/gsm8k | 8 | pass@4 | 50.0 % | 95 %: 21.5 % to 78.5 % |", page, StringComparison.Ordinal);
        Assert.Contains("| end | openai/gsm8k | 8 | maj@4 | 37.5 % | 95 %: 13.7 % to 69.4 % |", page, StringComparison.Ordinal);
        YamlNode result = FrontMatter(card)["model-index"][0]["results"][0];
        Assert.Equal("openai/gsm8k", ((YamlScalarNode)result["dataset"]["type"]).Value);
        Assert.Equal("pass@4", ((YamlScalarNode)result["metrics"][1]["type"]).Value);
        Assert.Equal("pass@4 (8 problems, 95 % interval 0.2152 to 0.7848)", ((YamlScalarNode)result["metrics"][1]["name"]).Value);
    }

    [Fact]
    public async Task FromCheckpointAsync_reads_the_records_of_a_run()
    {
        using var folder = new TemporaryFolder();
        new SavedOptions
        {
            Format = 1,
            Options = new Dictionary<string, string?> { ["GrpoOptions.GroupSize"] = "8", ["data set"] = "20 prompts, SHA-256 abc" },
            Identity = new Dictionary<string, string>
            {
                ["model"] = "Qwen2",
                ["reward"] = "GSM8K",
                ["reward.name"] = "Gsm8k",
                ["sampler"] = "s",
            },
        }.Write(folder.Path);
        new TaskDescription { SystemPrompt = null, AnswerFormat = "Boxed" }.Write(folder.Path);
        State([0, 5, 10]).Write(folder.Path);
        File.WriteAllText(folder["checkpoint.json"], """{"format_version": 1, "step": 10, "files": []}""");

        ModelCard card = await ModelCard.FromCheckpointAsync(folder.Path, "tiny");

        Assert.Equal("20 prompts, SHA-256 abc", card.Data);
        Assert.Equal(["GrpoOptions.GroupSize"], card.Options.Keys);
        Assert.Equal(["reward", "reward.name"], card.Reward.Keys);
        Assert.Equal(["model"], card.Model.Keys);
        Assert.Equal("Boxed", card.Task!.AnswerFormat);
        Assert.Equal(
            [("before training", false), ("after step 10", true)], card.Results.Select(result => (result.Name, result.IsOfThisModel)));
        Assert.Equal(0.1, card.Results[^1].Report.Accuracy);
        card.Write(folder.Path);
        Assert.Equal(card.ToMarkdown(), File.ReadAllText(folder[ModelCard.FileName]));
    }

    [Fact]
    public async Task FromCheckpointAsync_says_when_the_state_was_not_evaluated()
    {
        using var folder = new TemporaryFolder();
        State([0]).Write(folder.Path);
        File.WriteAllText(folder["checkpoint.json"], """{"format_version": 1, "step": 3, "files": []}""");

        string page = (await ModelCard.FromCheckpointAsync(folder.Path, "tiny")).ToMarkdown();

        Assert.Contains("This state was not evaluated.", page, StringComparison.Ordinal);
        Assert.DoesNotContain("model-index", page, StringComparison.Ordinal);
        await Assert.ThrowsAsync<DirectoryNotFoundException>(() => ModelCard.FromCheckpointAsync(folder["none"], "tiny"));
        File.WriteAllText(folder["task.json"], "{");
        await Assert.ThrowsAsync<InvalidDataException>(() => ModelCard.FromCheckpointAsync(folder.Path, "tiny"));
    }

    private static TrainerState State(long[] steps) => new()
    {
        Format = 1,
        BestStep = null,
        Evaluations =
        [
            .. steps.Select(step => SavedEvaluation.From(new EvaluatedStep(step, Quarter with { Accuracy = step / 100.0 }))),
        ],
        FirstEntropy = null,
        Entropies = [],
        RollBacks = 0,
        Collapse = null,
        Position = null,
        PassRates = new Dictionary<string, PassRate>(),
    };

    private static YamlMappingNode FrontMatter(ModelCard card)
    {
        string[] parts = card.ToMarkdown().Split("---\n", 3);
        var stream = new YamlStream();
        stream.Load(new StringReader(parts[1]));
        return (YamlMappingNode)stream.Documents.Single().RootNode;
    }

    private static void Refuses(Action<ModelCard> change, string message)
    {
        var card = new ModelCard { Title = "tiny" };
        change(card);
        string actual = Assert.Throws<InvalidOperationException>(card.ToMarkdown).Message;
        Assert.Contains(message, actual, StringComparison.Ordinal);
    }
}
