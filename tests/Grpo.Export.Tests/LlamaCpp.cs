using LLama;
using LLama.Common;
using LLama.Native;

namespace Grpo.Export.Tests;

/// <summary>A model in llama.cpp, computed in float32 on the CPU.</summary>
internal sealed class LlamaCpp : IDisposable
{
    private const int Context = 512;

    private readonly LLamaWeights _weights;
    private readonly ModelParams _parameters;

    public LlamaCpp(string path)
    {
        _parameters = new ModelParams(path)
        {
            ContextSize = Context,
            BatchSize = Context,
            UBatchSize = Context,
            Threads = 1,
            BatchThreads = 1,
            GpuLayerCount = 0,
            FlashAttention = false,
            TypeK = GGMLType.GGML_TYPE_F32,
            TypeV = GGMLType.GGML_TYPE_F32,
        };
        _weights = LLamaWeights.LoadFromFile(_parameters);
    }

    public IReadOnlyDictionary<string, string> Metadata => _weights.Metadata;

    public SafeLlamaModelHandle.Vocabulary Vocabulary => _weights.Vocab;

    public SafeLlamaModelHandle Model => _weights.NativeHandle;

    /// <summary>Tokenizes text. Special tokens in it become their ids.</summary>
    public int[] Tokenize(string text) =>
        [.. Model.Tokenize(text, addBos: false, special: true, System.Text.Encoding.UTF8).Select(token => (int)token)];

    /// <summary>Decodes a number of tokens greedily, without stopping at end tokens.</summary>
    public int[] Greedy(IReadOnlyList<int> prompt, int count)
    {
        using LLamaContext context = _weights.CreateContext(_parameters);
        int[] tokens = new int[count];
        float[] logits = Decode(context, prompt, first: 0)[^1];
        for (int i = 0; i < count; i++)
        {
            tokens[i] = Array.IndexOf(logits, logits.Max());
            logits = Decode(context, [tokens[i]], prompt.Count + i)[^1];
        }

        return tokens;
    }

    /// <summary>Computes the logits after each token.</summary>
    public float[][] Logits(IReadOnlyList<int> tokens)
    {
        using LLamaContext context = _weights.CreateContext(_parameters);
        return Decode(context, tokens, first: 0);
    }

    /// <summary>Renders a conversation with llama_chat_apply_template. Null if the C function does not know the template.</summary>
    public static string? Render(string template, IEnumerable<(string Role, string Content)> messages)
    {
        var rendered = new LLamaTemplate(template) { AddAssistant = true };
        foreach ((string role, string content) in messages)
        {
            rendered.Add(role, content);
        }

        try
        {
            return System.Text.Encoding.UTF8.GetString(rendered.Apply());
        }
        catch (LLama.Exceptions.TemplateNotFoundException)
        {
            return null;
        }
    }

    public void Dispose() => _weights.Dispose();

    private static float[][] Decode(LLamaContext context, IReadOnlyList<int> tokens, int first)
    {
        var batch = new LLamaBatch();
        for (int i = 0; i < tokens.Count; i++)
        {
            batch.Add(tokens[i], first + i, LLamaSeqId.Zero, logits: true);
        }

        Assert.Equal(DecodeResult.Ok, context.Decode(batch));
        return [.. Enumerable.Range(0, tokens.Count).Select(i => context.NativeHandle.GetLogitsIth(i).ToArray())];
    }
}

/// <summary>A fact that needs the native llama.cpp, and says so where the package has none for the machine.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LlamaFactAttribute : FactAttribute
{
    public LlamaFactAttribute() => Skip = LlamaNative.MissingBecause;
}

/// <summary>A theory that needs the native llama.cpp, and says so where the package has none for the machine.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class LlamaTheoryAttribute : TheoryAttribute
{
    public LlamaTheoryAttribute() => Skip = LlamaNative.MissingBecause;
}

internal static class LlamaNative
{
    public static string? MissingBecause { get; } =
        Directory.Exists(Path.Combine(AppContext.BaseDirectory, "runtimes"))
        && Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "runtimes"), "*llama*", SearchOption.AllDirectories).Any()
            ? null
            : $"LLamaSharp.Backend.Cpu has no llama.cpp for {System.Runtime.InteropServices.RuntimeInformation.RuntimeIdentifier}.";
}
