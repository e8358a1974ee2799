using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Rollouts;
using Grpo.Tensors;
using Grpo.Testing;
using Microsoft.Extensions.AI;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Loads the trained tiny model in llama.cpp and compares what it computes with the policy.</summary>
public sealed class GgufLlamaTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly QwenPretrained _qwen = QwenPretrained.Load(ExportModels.Tiny);

    private static ChatMessage[] Conversation =>
    [
        new(ChatRole.System, "Solve step by step."),
        new(ChatRole.User, "Sam has 50 eggs. Ann gives Sam 5 more eggs. How many eggs does Sam have now?"),
    ];

    [LlamaTheory]
    [InlineData("Sam has 50 eggs.")]
    [InlineData("Ann buys 7 boxes of pens. Each box has 12 pens. How many pens does Ann have?")]
    [InlineData("<|im_start|>user\nTim has 3 cats")]
    public async Task Sixty_four_greedy_tokens_are_the_policys(string text)
    {
        using LlamaCpp llama = await ExportAsync(ExportType.Float32);
        int[] prompt = [.. _qwen.Tokenizer.Encode(text)];
        Assert.Equal(ExportModels.Greedy(_qwen.Policy.Model, prompt, 64), llama.Greedy(prompt, 64));
    }

    // 8.5 bits move the log-probs of sampled answers by a fraction of a percent in the mean; 16 bits move them less.
    [LlamaTheory]
    [InlineData(ExportType.Q8, 0.01)]
    [InlineData(ExportType.Float16, 0.001)]
    [InlineData(ExportType.BFloat16, 0.01)]
    public async Task Mean_log_prob_moves_little_when_rounded(ExportType type, double bound)
    {
        using LlamaCpp llama = await ExportAsync(type);
        double ours = 0, theirs = 0;
        int count = 0;
        foreach ((int[] tokens, int first) in await SampleAsync())
        {
            using var scope = TensorScope.BeginNoGrad();
            int length = tokens.Length - first;
            float[][] logits = ExportModels.ToRows(ExportModels.Logits(_qwen.Policy.Model, tokens));
            ours += length * ExportModels.MeanLogProb(logits, tokens, first);
            theirs += length * ExportModels.MeanLogProb(llama.Logits(tokens), tokens, first);
            count += length;
        }

        Assert.True(
            Math.Abs(theirs - ours) < bound * Math.Abs(ours),
            $"{type}: the mean log-prob of {count} sampled tokens is {theirs / count} but {ours / count} in float32.");
    }

    [LlamaFact]
    public async Task The_template_is_byte_equal_and_renders_alike()
    {
        using LlamaCpp llama = await ExportAsync(ExportType.Float32);
        string text = File.ReadAllText(Path.Combine(ExportModels.Tiny, "chat_template.jinja"));
        Assert.Equal(text, llama.Metadata["tokenizer.chat_template"]);

        string? rendered = LlamaCpp.Render(text, Conversation.Select(message => (message.Role.Value, message.Text)));
        Assert.Equal(_qwen.ChatTemplate.Render(Conversation, addGenerationPrompt: true), rendered);
    }

    [LlamaFact]
    public async Task Text_has_the_same_ids_and_end_tokens()
    {
        using LlamaCpp llama = await ExportAsync(ExportType.Float32);
        string[] texts =
        [
            _qwen.ChatTemplate.Render(Conversation, addGenerationPrompt: true), "How many?\n\n  12 + 3.5 = 15.5", "Ünïcode — 字 🙂\t\r\n",
            " ", "don't I'LL we've 1234567", "<think>no token</think>",
        ];
        Assert.All(texts, text => Assert.Equal(_qwen.Tokenizer.Encode(text), llama.Tokenize(text)));
        Assert.Equal(ExportModels.TinyTokens, llama.Vocabulary.Count);
        Assert.Equal(511, (int)llama.Vocabulary.EOS!.Value);             // <|im_end|>, as tokenizer_config.json says
        Assert.Equal(509, (int)llama.Vocabulary.EOT!.Value);             // <|endoftext|>, the other end token
        Assert.Equal(509, (int)llama.Vocabulary.Pad!.Value);
        Assert.False(llama.Vocabulary.ShouldAddBOS);
    }

    // Qwen's tokenizer composes accents (NFC). GGUF has no place to say so.
    [LlamaFact]
    public async Task Accents_are_not_composed_by_llama_cpp()
    {
        using LlamaCpp llama = await ExportAsync(ExportType.Float32);
        Assert.Equal(_qwen.Tokenizer.Encode("caf\u00E9"), _qwen.Tokenizer.Encode("cafe\u0301"));
        Assert.Equal(_qwen.Tokenizer.Encode("caf\u00E9"), llama.Tokenize("caf\u00E9"));
        Assert.NotEqual(_qwen.Tokenizer.Encode("cafe\u0301"), llama.Tokenize("cafe\u0301"));
    }

    [LlamaFact]
    public async Task The_program_of_the_page_gets_the_policys_answer()
    {
        ExportResult result = await ModelExport.SaveAsync(
            ExportModels.Tiny, _folder["tiny.gguf"], new ExportOptions { Format = ExportFormat.Gguf, Type = ExportType.Q8 });
        var answer = new System.Text.StringBuilder();
        await foreach (string piece in Snippets.DeployedModel.AskAsync(result.Path, Conversation[1].Text))
        {
            answer.Append(piece);
        }

        Assert.Contains("<answer>\n55\n</answer>", answer.ToString(), StringComparison.Ordinal);
    }

    // Answers of the policy at temperature 1, as in training: prompt and answer, and the position of the answer.
    private async Task<IEnumerable<(int[] Tokens, int First)>> SampleAsync()
    {
        string[] questions =
        [
            "Sam has 50 eggs. Ann gives Sam 5 more eggs. How many eggs does Sam have now?",
            "Tim has 24 cards. Tim loses 9 cards. How many cards does Tim have left?",
            "A box holds 6 pens. How many pens are in 7 boxes?",
            "Eva has 48 coins and shares them equally among 4 friends. How many coins does each friend get?",
        ];
        var request = new RolloutRequest
        {
            Prompts = [.. questions.Select((text, i) => Prompt.Create($"q{i}", text, system: "Solve step by step."))],
            GroupSize = 4,
            Sampling = new SamplingOptions { MaxCompletionTokens = 96 },
            Seed = 1,
        };
        IReadOnlyList<RolloutGroup> groups =
            await new PolicyGroupSampler(_qwen.Tokenizer, _qwen.ChatTemplate).SampleAsync(_qwen.Policy, request);
        return groups.SelectMany(group => group.Completions.Select(completion =>
            ((int[])[.. group.PromptTokenIds, .. completion.TokenIds], group.PromptTokenIds.Count)));
    }

    public void Dispose()
    {
        _qwen.Dispose();
        _folder.Dispose();
    }

    private async Task<LlamaCpp> ExportAsync(ExportType type)
    {
        ExportResult result = await ModelExport.SaveAsync(
            ExportModels.Tiny, _folder["tiny.gguf"], new ExportOptions { Format = ExportFormat.Gguf, Type = type });
        return new LlamaCpp(result.Path);
    }
}

/// <summary>Holds llama.cpp to the golden models of every family, with a larger vocabulary and padded embedding rows.</summary>
public sealed class GgufFamiliesTests : IDisposable
{
    private static readonly int[] Prompt = [.. Enumerable.Range(0, 40).Select(i => (i * 37 + 11) % 140)];

    private readonly TemporaryFolder _folder = new();

    [LlamaSharedTheory]
    [InlineData("model-A")]
    [InlineData("model-B")]
    [InlineData("model-C")]
    [InlineData("families/qwen3-A")]
    [InlineData("families/qwen3-B")]
    [InlineData("families/llama-A")]
    [InlineData("families/llama-B")]
    [InlineData("families/qwen2-yarn")]
    [InlineData("families/qwen2-linear")]
    public Task Greedy_tokens_and_logits_are_the_models(string golden) => CompareAsync(golden, config => config);

    [LlamaSharedTheory]
    [InlineData("families/llama-A")]
    [InlineData("families/qwen3-A")]
    public Task YaRN_with_a_gain_of_its_own_is_the_models(string golden) => CompareAsync(golden, config => config with
    {
        RopeScaling = new RopeScaling
        {
            Kind = RopeScalingKind.Yarn,
            Factor = 4,
            OriginalMaxPositions = 96,
            AttentionFactor = 1.3,
            BetaFast = 20,
            BetaSlow = 2,
        },
    });

    public void Dispose() => _folder.Dispose();

    private async Task CompareAsync(string golden, Func<DecoderConfig, DecoderConfig> change)
    {
        ExportModels.WithTinyTokenizer(golden, _folder.Path, change);
        ExportResult result = await ModelExport.SaveAsync(
            _folder.Path, _folder["out/model.gguf"], new ExportOptions { Format = ExportFormat.Gguf, Type = ExportType.Float32 });
        using CausalLM model = QwenWeights.Load(_folder.Path);
        using var llama = new LlamaCpp(result.Path);
        int[] expected = ExportModels.Greedy(model, Prompt, 64);
        using var scope = TensorScope.BeginNoGrad();
        int[] sequence = [.. Prompt, .. expected];
        float[][] ours = ExportModels.ToRows(ExportModels.Logits(model, sequence)), theirs = llama.Logits(sequence);
        double scale = ours.SelectMany(row => row).Max(Math.Abs);
        double difference = ours.Zip(theirs, (our, their) => our.Zip(their, (a, b) => Math.Abs(a - b)).Max()).Max();
        Assert.True(difference < 1e-4 * scale, $"{golden}: logits up to {scale:G4} differ by {difference:G4}.");
        Assert.Equal(expected, llama.Greedy(Prompt, 64));
    }
}

/// <summary>A theory that needs the native llama.cpp and the shared reference data.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LlamaSharedTheoryAttribute : TheoryAttribute
{
    public LlamaSharedTheoryAttribute() => Skip = LlamaNative.MissingBecause ?? new SharedTheoryAttribute().Skip;
}
