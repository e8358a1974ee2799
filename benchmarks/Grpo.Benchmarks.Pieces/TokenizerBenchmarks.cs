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
/// Encoding and decoding 100 word problems with a vocabulary of 600 tokens that was learned from others, so nothing is downloaded. The
/// baselines are Microsoft.ML.Tokenizers as it comes: the same vocabulary, words split by its regular expressions, no added tokens.
/// </summary>
[MemoryDiagnoser]
[GroupBenchmarksBy(BenchmarkLogicalGroupRule.ByCategory)]
[CategoriesColumn]
public class TokenizerBenchmarks
{
    private QwenTokenizer _tokenizer = null!;
    private BpeTokenizer _plain = null!;
    private string _text = "";
    private IReadOnlyList<int> _ids = [];

    /// <summary>Learns the vocabulary, and checks that both ways give the same ids.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _tokenizer = BpeTrainer.Train(Problems(seed: 1, count: 2000), vocabularySize: 600);
        _plain = Plain(_tokenizer);
        _text = string.Join('\n', Problems(seed: 2, count: 100));
        _ids = _tokenizer.Encode(_text);
        if (!_ids.SequenceEqual(_plain.EncodeToIds(_text)))
        {
            throw new InvalidOperationException("The baseline gives other ids, so it is no baseline.");
        }
    }

    /// <summary>EncodeToIds of Microsoft.ML.Tokenizers.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("encode")]
    public object PlainEncode() => _plain.EncodeToIds(_text);

    /// <summary>Ours: added tokens, normalisation, a splitter of its own.</summary>
    [Benchmark]
    [BenchmarkCategory("encode")]
    public object Encode() => _tokenizer.Encode(_text);

    /// <summary>Decode of Microsoft.ML.Tokenizers.</summary>
    [Benchmark(Baseline = true)]
    [BenchmarkCategory("decode")]
    public object PlainDecode() => _plain.Decode(_ids);

    /// <summary>Ours.</summary>
    [Benchmark]
    [BenchmarkCategory("decode")]
    public object Decode() => _tokenizer.Decode(_ids);

    private static IEnumerable<string> Problems(ulong seed, int count) =>
        WordProblems.Generate(new WordProblemOptions { Seed = seed, Count = count }).Select(problem => $"{problem.Question}\n{problem.Solution}");

    private static BpeTokenizer Plain(QwenTokenizer tokenizer)
    {
        string folder = Directory.CreateTempSubdirectory("grpo-").FullName;
        try
        {
            tokenizer.Save(folder);
            Dictionary<string, int> ids = JsonSerializer.Deserialize<Dictionary<string, int>>(File.ReadAllText(Path.Combine(folder, "vocab.json")))!;
            return BpeTokenizer.Create(new BpeOptions(ids)
            {
                Merges = File.ReadLines(Path.Combine(folder, "merges.txt")).Skip(1),
                PreTokenizer = new RegexPreTokenizer(new Regex(Qwen2PreTokenizer.Pattern, RegexOptions.Compiled), specialTokens: null),
                ByteLevel = true,
            });
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
