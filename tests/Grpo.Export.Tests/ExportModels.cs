using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Models to export.</summary>
internal static class ExportModels
{
    /// <summary>The number of tokens of the tiny model's tokenizer.</summary>
    public const int TinyTokens = 512;

    /// <summary>The number of embedding rows that <see cref="WithTinyTokenizer"/> gives a model: 8 rows have no token.</summary>
    public const int Rows = TinyTokens + 8;

    /// <summary>The trained tiny model of the sample.</summary>
    public static string Tiny => Path.Combine(AppContext.BaseDirectory, "tiny");

    /// <summary>Writes a golden model with random embedding rows up to <see cref="Rows"/> and the tiny model's tokenizer.</summary>
    /// <param name="golden">The folder below shared/golden.</param>
    /// <param name="folder">The folder to write.</param>
    /// <param name="change">Changes the configuration.</param>
    public static void WithTinyTokenizer(string golden, string folder, Func<DecoderConfig, DecoderConfig>? change = null)
    {
        string source = SharedData.Path(["golden", .. golden.Split('/')]);
        DecoderConfig config = DecoderConfig.Load(source) with { VocabularySize = Rows, StoredType = "float32" };
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(source);
        using var generator = new Generator(5);
        var tensors = new Dictionary<string, Tensor>();
        foreach (string name in checkpoint.Entries.Keys)
        {
            Tensor weight = checkpoint.Read(name).to(ScalarType.Float32);
            bool hasRows = name is "model.embed_tokens.weight" or "lm_head.weight";
            tensors[name] = hasRows
                ? cat([weight, empty([Rows - weight.shape[0], weight.shape[1]]).normal_(0, weight.std().item<float>(), generator)])
                : weight;
        }

        SafetensorsWriter.Write(Path.Combine(folder, "model.safetensors"), tensors);
        File.WriteAllText(Path.Combine(folder, "config.json"), (change?.Invoke(config) ?? config).ToJson());
        CopyTokenizer(folder);
    }

    /// <summary>Copies the tokenizer and the chat template of the tiny model.</summary>
    public static void CopyTokenizer(string folder)
    {
        foreach (string name in (string[])["vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.jinja"])
        {
            File.Copy(Path.Combine(Tiny, name), Path.Combine(folder, name));
        }
    }

    /// <summary>Decodes a number of tokens greedily, each from a pass over the whole sequence, without stopping at end tokens.</summary>
    public static int[] Greedy(CausalLM model, IReadOnlyList<int> prompt, int count)
    {
        List<int> ids = [.. prompt];
        for (int i = 0; i < count; i++)
        {
            using var scope = TensorScope.BeginNoGrad();
            ids.Add((int)Logits(model, ids)[-1].argmax().item<long>());
        }

        return [.. ids.Skip(prompt.Count)];
    }

    /// <summary>Computes the logits after each token, [T, V]. Owned by the caller's scope.</summary>
    public static Tensor Logits(CausalLM model, IReadOnlyList<int> tokens)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(model.forward(tensor(tokens.Select(id => (long)id).ToArray()).unsqueeze(0), null)[0]);
    }

    /// <summary>Computes the mean log-prob, in nats, of the tokens from a position on.</summary>
    /// <param name="logits">The logits after each token.</param>
    /// <param name="tokens">The tokens.</param>
    /// <param name="first">The position of the first token that counts. At least 1.</param>
    public static double MeanLogProb(IReadOnlyList<float[]> logits, IReadOnlyList<int> tokens, int first) =>
        Enumerable.Range(first, tokens.Count - first).Average(i => LogProb(logits[i - 1], tokens[i]));

    /// <summary>Converts logits, [T, V], to arrays.</summary>
    public static float[][] ToRows(Tensor logits)
    {
        float[] flat = logits.to(ScalarType.Float32).contiguous().data<float>().ToArray();
        int width = (int)logits.shape[1];
        return [.. Enumerable.Range(0, (int)logits.shape[0]).Select(row => flat[(row * width)..((row + 1) * width)])];
    }

    private static double LogProb(float[] logits, int token)
    {
        double largest = logits.Max();
        return logits[token] - largest - Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
    }
}
