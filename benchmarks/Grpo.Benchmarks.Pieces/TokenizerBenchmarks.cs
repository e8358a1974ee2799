using System.Text.Json;
using System.Text.RegularExpressions;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Text;
using Grpo.Rewards;
using Microsoft.ML.Tokenizers;

namespace Grpo.Benchmarks.Pieces;

/// <summary>
/// Times encoding and decoding of 100 word problems. The vocabulary of 600 tokens is learned from other problems, so nothing is downloaded.
/// </summary>
/// <remarks>
/// The baselines are the plain Microsoft.ML.Tokenizers with an equal vocabulary. It splits words by regular expressions and has no added
/// tokens.
/// </remarks>
[MemoryDiagnoser]
[GroupBenchmarksBy(BenchmarkLogicalGroupRule.ByCategory)]
[CategoriesColumn]
public class TokenizerBenchmarks
{
    private QwenTokenizer _tokenizer = null!;
    private BpeTokenizer _plain = null!;
    private string _text = "";
    private IReadOnlyList<int> _ids = [];

    /// <summary>Learns the vocabulary and checks that both tokenizers give equal ids.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _tokenizer = BpeTrainer.Train(Problems(seed: 1, count: 2000), vocabularySize: 600);
        _plain = Plain(_tokenizer);
        _text = string.Join('\n', Problems(seed: 2, count: 100));
        _ids = _tokenizer.Encode(_text);
        if (!_ids.SequenceEqual(_plain.EncodeToIds(_text)))
        {
            throw new InvalidOperationException("The baseline gives different ids, so the two cannot be compared.");
        }
    }

    /// <summary>Encodes with Microsoft.ML.Tokenizers.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("encode")]
    public object PlainEncode() => _plain.EncodeToIds(_text);

    /// <summary>Encodes with the library, which handles added tokens, normalizes, and splits words by code of its own.</summary>
    [Benchmark]
    [BenchmarkCategory("encode")]
    public object Encode() => _tokenizer.Encode(_text);

    /// <summary>Decodes with Microsoft.ML.Tokenizers.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("decode")]
    public object PlainDecode() => _plain.Decode(_ids);

    /// <summary>Decodes with the library.</summary>
    [Benchmark]
    [BenchmarkCategory("decode")]
    public object Decode() => _tokenizer.Decode(_ids);

    private static IEnumerable<string> Problems(ulong seed, int count) =>
        WordProblems.Generate(new WordProblemOptions { Seed = seed, Count = count })
            .Select(problem => $"{problem.Question}\n{problem.Solution}");

    private static BpeTokenizer Plain(QwenTokenizer tokenizer)
    {
        string folder = Directory.CreateTempSubdirectory("grpo-").FullName;
        try
        {
            tokenizer.Save(folder);
            Dictionary<string, int> ids = JsonSerializer.Deserialize<Dictionary<string, int>>(
                File.ReadAllText(Path.Combine(folder, "vocab.json")))!;
            return BpeTokenizer.Create(new BpeOptions(ids)
            {
                Merges = File.ReadLines(Path.Combine(folder, "merges.txt")).Skip(1),
                PreTokenizer = new RegexPreTokenizer(new Regex(WordRules.Qwen2.Pattern, RegexOptions.Compiled), specialTokens: null),
                ByteLevel = true,
            });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
