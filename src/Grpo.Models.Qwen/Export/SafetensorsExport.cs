using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Export;

/// <summary>Writes a folder in Hugging Face layout: weights, configuration, tokenizer, chat template and end tokens.</summary>
internal static class SafetensorsExport
{
    /// <summary>Writes the files into an existing folder.</summary>
    internal static (int Tensors, long Bytes, IReadOnlyList<string> Warnings) Write(
        ExportJob job, string directory, ExportType type, CancellationToken cancellationToken)
    {
        (ScalarType stored, string typeName) = type switch
        {
            ExportType.Float32 => (ScalarType.Float32, "float32"),
            ExportType.BFloat16 => (ScalarType.BFloat16, "bfloat16"),
            ExportType.Float16 => (ScalarType.Float16, "float16"),
            _ => throw new ArgumentOutOfRangeException(nameof(type), type, "Safetensors holds Float32, BFloat16 or Float16."),
        };
        DeferredTensor[] tensors =
        [
            .. DecoderParameters.List(job.Config).Select(
                entry => new DeferredTensor(entry.Name, stored, entry.Shape, () => Create(entry.Name))),
        ];
        string weights = Path.Combine(directory, "model.safetensors");
        SafetensorsWriter.WriteDeferred(weights, tensors);
        File.WriteAllText(
            Path.Combine(directory, DecoderConfigFile.FileName), (job.Config with { StoredType = typeName }).ToJson());
        job.Tokenizer.Save(directory);
        job.Template.Save(directory);
        File.WriteAllBytes(
            Path.Combine(directory, TokenizerFiles.Generation),
            SpecialTokenIds.WriteEnds(job.Tokenizer.Files, job.Tokenizer.EndTokenIds));
        return (tensors.Length, new FileInfo(weights).Length, []);

        Tensor Create(string name)
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = TensorScope.BeginNoGrad();
            return scope.Keep(WeightRounding.Round(job.Weights.Read(name), stored, name));
        }
    }
}

/// <summary>Rounds weights to the type of an export.</summary>
internal static class WeightRounding
{
    /// <summary>Rounds finite float32 values to a type.</summary>
    /// <param name="weight">The values, float32. Borrowed.</param>
    /// <param name="type">The type.</param>
    /// <param name="name">The name of the weight, for the message.</param>
    /// <returns>The rounded values. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidDataException">A value is too large for the type.</exception>
    internal static Tensor Round(Tensor weight, ScalarType type, string name)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor rounded = weight.to(type, copy: true);
        return type == ScalarType.Float32 || DeviceTransfer.ToNumber<bool>(rounded.isfinite().all())
            ? scope.Keep(rounded)
            : throw new InvalidDataException(
                $"The weight {name} has values up to {DeviceTransfer.ToNumber<float>(weight.abs().max()):G4}, which {type} cannot hold. "
                + "Export as BFloat16 or Float32.");
    }
}
