using System.Runtime.InteropServices;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Export;

/// <summary>
/// Writes a GGUF file: the configuration, tokenizer and chat template as metadata, and the weights under llama.cpp's names.
/// </summary>
internal static class GgufExport
{
    // A multiple of the width of a block.
    private const int PieceElements = 4 << 20;

    /// <summary>Writes a new file.</summary>
    /// <exception cref="NotSupportedException">llama.cpp cannot compute what the model computes.</exception>
    internal static (int Tensors, long Bytes, IReadOnlyList<string> Warnings) Write(
        ExportJob job, string path, ExportType type, CancellationToken cancellationToken)
    {
        GgufArchitecture architecture = GgufArchitecture.Of(job.Config);
        GgufVocabulary vocabulary = GgufVocabulary.Create(job.Tokenizer, job.Config.VocabularySize);
        GgufType matrices = GgufFile.TypeOf(type);
        var file = new GgufFile();
        architecture.Describe(file, job.Config, job.Name, matrices);
        vocabulary.Describe(file);
        if (job.Template.Texts is { } template)
        {
            Describe(file, template);
        }

        List<(GgufTensor Tensor, Func<Tensor> Create)> tensors =
        [
            .. DecoderParameters.List(job.Config).Select(entry =>
                (new GgufTensor(GgufNames.Translate(entry.Name), entry.Shape, TypeOf(entry.Name, entry.Shape, matrices)),
                (Func<Tensor>)(() => architecture.Arrange(entry.Name, job.Weights.Read(entry.Name), job.Config)))),
        ];
        if (GgufArchitecture.RopeFactors(job.Config) is { } factors)
        {
            tensors.Insert(0, (new GgufTensor("rope_freqs.weight", [factors.Length], GgufType.F32), () => tensor(factors, device: CPU)));
        }

        long bytes = file.Write(path, [.. tensors.Select(entry => entry.Tensor)], (index, append) =>
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = TensorScope.BeginNoGrad();
            (GgufTensor described, Func<Tensor> create) = tensors[index];
            WriteData(create(), described, append);
        });
        return (tensors.Count, bytes, vocabulary.Warnings);
    }

    // The named templates come before the unnamed one, as from llama.cpp's own converter.
    private static void Describe(GgufFile file, TemplateTexts template)
    {
        const string Key = "tokenizer.chat_template", ToolUse = "tool_use";
        if (template.ToolUse is { } tools)
        {
            file.Add($"{Key}s", [ToolUse]);
            file.Add($"{Key}.{ToolUse}", tools);
        }

        file.Add(Key, template.Text);
    }

    // llama.cpp computes norms and biases in float32 and accepts no other type for them.
    private static GgufType TypeOf(string name, long[] shape, GgufType matrices) =>
        shape.Length == 1 || name.EndsWith("norm.weight", StringComparison.Ordinal) ? GgufType.F32
        : matrices == GgufType.Q8_0 && shape[^1] % Q8Blocks.Width != 0 ? GgufType.F16
        : matrices;

    private static void WriteData(Tensor weight, GgufTensor described, AppendBytes append)
    {
        Tensor flat = weight.contiguous().view(-1);                      // [elements] float32
        long elements = flat.numel();
        byte[] blocks = described.Type == GgufType.Q8_0
            ? new byte[GgufFile.BytesOf(GgufType.Q8_0, Math.Min(elements, PieceElements))]
            : [];
        for (long done = 0; done < elements; done += PieceElements)
        {
            using var scope = TensorScope.BeginNoGrad();
            Tensor piece = flat.narrow(0, done, Math.Min(PieceElements, elements - done));
            if (described.Type != GgufType.Q8_0)
            {
                append(DeviceTransfer.Bytes(WeightRounding.Round(piece, ScalarOf(described.Type), described.Name)));
                continue;
            }

            Span<byte> target = blocks.AsSpan(0, (int)GgufFile.BytesOf(GgufType.Q8_0, piece.numel()));
            if (!Q8Blocks.TryRound(MemoryMarshal.Cast<byte, float>(DeviceTransfer.Bytes(piece)), target))
            {
                throw new InvalidDataException(
                    $"The weight {described.Name} has values up to {DeviceTransfer.ToNumber<float>(piece.abs().max()):G4}, whose scale "
                    + "float16 cannot hold. "
                    + "Export as BFloat16 or Float32.");
            }

            append(target);
        }
    }

    private static ScalarType ScalarOf(GgufType type) => type switch
    {
        GgufType.F16 => ScalarType.Float16,
        GgufType.BF16 => ScalarType.BFloat16,
        _ => ScalarType.Float32,
    };
}

/// <summary>Translates the names of a Hugging Face checkpoint into llama.cpp's.</summary>
internal static class GgufNames
{
    private const string LayerPrefix = "model.layers.";

    private static readonly Dictionary<string, string> Modules = new(StringComparer.Ordinal)
    {
        ["model.embed_tokens"] = "token_embd",
        ["model.norm"] = "output_norm",
        ["lm_head"] = "output",
        ["input_layernorm"] = "attn_norm",
        ["self_attn.q_proj"] = "attn_q",
        ["self_attn.k_proj"] = "attn_k",
        ["self_attn.v_proj"] = "attn_v",
        ["self_attn.o_proj"] = "attn_output",
        ["self_attn.q_norm"] = "attn_q_norm",
        ["self_attn.k_norm"] = "attn_k_norm",
        ["post_attention_layernorm"] = "ffn_norm",
        ["mlp.gate_proj"] = "ffn_gate",
        ["mlp.up_proj"] = "ffn_up",
        ["mlp.down_proj"] = "ffn_down",
    };

    /// <summary>Translates model.layers.3.mlp.up_proj.weight into blk.3.ffn_up.weight, for example.</summary>
    /// <exception cref="NotSupportedException">llama.cpp has no such weight.</exception>
    internal static string Translate(string name)
    {
        int dot = name.LastIndexOf('.');
        string module = name[..dot];
        string prefix = "";
        if (module.StartsWith(LayerPrefix, StringComparison.Ordinal))
        {
            int end = module.IndexOf('.', LayerPrefix.Length);
            prefix = $"blk.{module[LayerPrefix.Length..end]}.";
            module = module[(end + 1)..];
        }

        return Modules.TryGetValue(module, out string? translated)
            ? $"{prefix}{translated}{name[dot..]}"
            : throw new NotSupportedException($"llama.cpp has no name for the weight {name}, so the model cannot be written as GGUF.");
    }
}
