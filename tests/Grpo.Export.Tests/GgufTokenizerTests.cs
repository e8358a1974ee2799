using System.Text;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Testing;

namespace Grpo.Export.Tests;

/// <summary>Compares the ids of texts in llama.cpp with the tokenizer's, for each way to split words.</summary>
public sealed class GgufTokenizerTests : IDisposable
{
    private static readonly string[] Pieces =
    [
        "the", "The", " and", "  ", " ", "\n", "\n\n", "\r\n", "\t", "12", "1234567", " 42", "3.14", "don't", "I'LL", "'s", "!?", "...",
        " (", "`code`", "größe", "Ünïcode", "naïve", "東京", "日本語", "привет", " мир", "🙂", "é", "—", "_x_", "=>", "<b>", "training",
        " reward", "policy", "<|im_end|>", "<|im_start|>", "x", "Z",
    ];

    private readonly TemporaryFolder _folder = new();

    [LlamaTheory]
    [InlineData(TokenizerKind.Qwen2, "qwen2", "qwen2")]
    [InlineData(TokenizerKind.Llama3, "llama", "llama-bpe")]
    [InlineData(TokenizerKind.SmolLM2, "llama", "smollm")]
    [InlineData(TokenizerKind.Gpt2, "llama", "gpt-2")]
    public async Task Two_thousand_random_texts_have_the_same_ids(TokenizerKind kind, string modelType, string preTokenizer)
    {
        string[] pages = [.. Directory.EnumerateFiles(Path.Combine(SharedData.RepositoryRoot, "docs"), "*.md").Select(File.ReadAllText)];
        QwenTokenizer trained = BpeTrainer.Train(
            pages.Select(page => page[..Math.Min(page.Length, 20_000)]), 700,
            ["<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>"], kind);
        Directory.CreateDirectory(_folder["source"]);
        trained.Save(_folder["source"]);
        var config = new DecoderConfig
        {
            ModelType = modelType,
            VocabularySize = trained.VocabularySize + 5,
            HiddenSize = 32,
            IntermediateSize = 32,
            LayerCount = 1,
            AttentionHeadCount = 2,
            KeyValueHeadCount = 1,
        };
        using (CausalLM model = CausalLM.Initialize(config, seed: 1))
        {
            QwenWeights.Save(model, _folder["source"]);
        }

        ExportResult result = await ModelExport.SaveAsync(
            _folder["source"], _folder["model.gguf"], new ExportOptions { Format = ExportFormat.Gguf });
        Assert.Empty(result.Warnings);
        using var llama = new LlamaCpp(result.Path);
        Assert.Equal(preTokenizer, llama.Metadata["tokenizer.ggml.pre"]);
        Assert.Equal(trained.PrefixTokenIds.Count > 0, llama.Vocabulary.ShouldAddBOS);
        var random = new Random(7);
        for (int i = 0; i < 2_000; i++)
        {
            var text = new StringBuilder();
            for (int piece = random.Next(1, 12); piece > 0; piece--)
            {
                text.Append(Pieces[random.Next(Pieces.Length)]);
            }

            int[] theirs = llama.Tokenize(text.ToString());
            Assert.True(
                trained.Encode(text.ToString()).SequenceEqual(theirs),
                $"'{text}' is [{string.Join(", ", trained.Encode(text.ToString()))}] here and [{string.Join(", ", theirs)}] in llama.cpp.");
        }
    }

    public void Dispose() => _folder.Dispose();
}
