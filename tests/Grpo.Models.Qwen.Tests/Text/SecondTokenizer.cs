using System.Runtime.InteropServices;
using System.Text;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Tests.Text;

/// <summary>A vocabulary of a family, trained here, in Hugging Face's tokenizers (Rust) and in the library.</summary>
internal sealed class SecondTokenizer : IDisposable
{
    // SmolLM2's vocabulary lacks tokens for 21 bytes. 13 of them never occur in UTF-8; of the others, these stand for all.
    private static readonly byte[] Lacking =
        [0x00, 0x0B, 0x1C, 0xF1, 0xF2, 0xF3, 0xDF, 0xE7, .. Enumerable.Range(0xF5, 11).Select(value => (byte)value), 0xC0, 0xC1];

    private static readonly string[] Special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<｜User｜>"];

    private readonly TemporaryFolder _folder = new();
    private readonly Tokenizers.DotNet.Tokenizer _second;

    private SecondTokenizer(string name, WordRules words, TokenizerKind trained)
    {
        TokenizerPipeline pipeline = TrainedKind.Of(trained).Pipeline with { Words = words };
        var texts = new RandomTexts(seed: 1, []);
        string[] corpus = [.. Enumerable.Range(0, 1500).Select(_ => texts.Next()).Where(text => text.Length < 400)];
        TokenizerFiles learned = BpeTrainer.TrainFiles(corpus, 1500, Special, TrainedKind.Of(trained) with { Pipeline = pipeline });
        var vocabulary = ByteLevelVocabulary.Read(learned);
        HashSet<string> lacking = name == "SmolLM2" ? [.. Lacking.Select(value => ByteAlphabet.ToChar(value).ToString())] : [];
        bool IsKept(string token) => !token.Any(character => lacking.Contains(character.ToString()));
        List<string> tokens = [.. vocabulary.Ids.OrderBy(pair => pair.Value).Select(pair => pair.Key).Where(IsKept)];
        if (pipeline.TakesWholeWords)
        {
            tokens.AddRange(UnmergedWords(corpus, pipeline, tokens));
        }

        // SmolLM2's vocabulary begins with its special tokens; those of the others follow their vocabularies.
        bool isFirst = name == "SmolLM2";
        int next = tokens.Count + Special.Length;
        int first = isFirst ? 0 : tokens.Count;
        tokens.InsertRange(0, isFirst ? Special : []);
        AddedToken[] added =
            [.. Special.Select((content, i) => new AddedToken(first + i, content, IsSpecial: true)),
                new AddedToken(next, "<think>", IsSpecial: false),
                new AddedToken(next + 1, "e\u0301toile", IsSpecial: false, IsNormalized: true)];
        File.WriteAllBytes(
            _folder.File("tokenizer.json"),
            TokenizerJsonFile.Write(
                tokens, [.. vocabulary.Merges.Where(merge => IsKept(merge.Left + merge.Right))], added, pipeline,
                trained == TokenizerKind.Llama3 ? added.Single(token => token.Content == "<|begin_of_text|>") : null));
        Own = QwenTokenizer.Load(_folder.Path);
        AddedTexts = [.. added.Select(token => token.Content), "étoile"];
        Pipeline = pipeline;
        _second = new Tokenizers.DotNet.Tokenizer(_folder.File("tokenizer.json"));
    }

    /// <summary>The families, and other orders of the same stages.</summary>
    public static IReadOnlyDictionary<string, (WordRules Words, TokenizerKind Trained)> Kinds { get; } =
        new Dictionary<string, (WordRules Words, TokenizerKind Trained)>
        {
            ["Qwen2"] = (WordRules.Qwen2, TokenizerKind.Qwen2),
            ["Llama3"] = (WordRules.Llama3, TokenizerKind.Llama3),
            ["SmolLM2"] = (WordRules.SmolLM2, TokenizerKind.SmolLM2),
            ["GPT2"] = (WordRules.Gpt2, TokenizerKind.Gpt2),
            ["GPT2 with numbers apart"] = (WordRules.Gpt2.WithNumbersApart(each: false), TokenizerKind.Gpt2),
            ["Llama3 with single digits"] = (WordRules.Llama3.WithNumbersApart(each: true), TokenizerKind.Llama3),
        };

    /// <summary>The library's tokenizer.</summary>
    public QwenTokenizer Own { get; }

    public TokenizerPipeline Pipeline { get; }

    /// <summary>The added tokens as they may stand in a text.</summary>
    public IReadOnlyList<string> AddedTexts { get; }

    public static SecondTokenizer Create(string kind) => new(kind, Kinds[kind].Words, Kinds[kind].Trained);

    /// <summary>Returns the second implementation's ids, with the tokens that it puts before a text.</summary>
    public int[] Encode(string text) => [.. _second.Encode(text).Select(id => checked((int)id))];

    /// <summary>Returns the second implementation's text without special tokens.</summary>
    public string Decode(IEnumerable<int> ids) => _second.Decode([.. ids.Select(id => checked((uint)id))]);

    /// <summary>True if every byte of a text has a token.</summary>
    public bool IsLossless(string text) =>
        Pipeline.Words != WordRules.SmolLM2 || !Encoding.UTF8.GetBytes(text).Any(value => Lacking.Contains(value));

    public void Dispose()
    {
        _second.Dispose();
        _folder.Dispose();
    }

    // Words that no merge makes: a tokenizer that ignores merges takes them whole.
    private static IEnumerable<string> UnmergedWords(string[] corpus, TokenizerPipeline pipeline, List<string> tokens)
    {
        var scanner = new WordScanner(pipeline.Words);
        return corpus.SelectMany(text => scanner.PreTokenize(text).Select(word => text.Substring(word.Offset, word.Length)))
            .Where(word => word.Length is > 2 and < 20)
            .Select(word => ByteAlphabet.ToText(Encoding.UTF8.GetBytes(word)))
            .Distinct(StringComparer.Ordinal)
            .Except(tokens, StringComparer.Ordinal)
            .Take(300);
    }
}

/// <summary>A theory that needs the native library of the second tokenizer, and says so where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SecondTokenizerTheoryAttribute : TheoryAttribute
{
    public SecondTokenizerTheoryAttribute()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            Skip = "The native library of Tokenizers.DotNet is referenced for Linux on x64 only.";
        }
    }
}
