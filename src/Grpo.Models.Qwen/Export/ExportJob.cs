using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Export;

/// <summary>Everything that is written: weights, tokenizer and chat template.</summary>
/// <param name="Weights">The weights. Borrowed.</param>
/// <param name="Tokenizer">The tokenizer, with the end tokens of the run.</param>
/// <param name="Template">The chat template.</param>
/// <param name="Name">The name of the model.</param>
internal sealed record ExportJob(ExportWeights Weights, QwenTokenizer Tokenizer, CheckpointTemplate Template, string Name)
{
    /// <summary>The configuration of the model.</summary>
    internal DecoderConfig Config => Weights.Config;

    /// <summary>Writes the export to a temporary place and then moves it to its name.</summary>
    internal ExportResult Write(ExportTarget target, CancellationToken cancellationToken)
    {
        string temporary = target.BeginTemporary();
        try
        {
            (int tensors, long bytes, IReadOnlyList<string> warnings) = target.Format == ExportFormat.Gguf
                ? GgufExport.Write(this, temporary, target.Type, cancellationToken)
                : SafetensorsExport.Write(this, temporary, target.Type, cancellationToken);
            target.Complete(temporary);
            return new ExportResult(target.Path, target.Type, tensors, bytes, warnings);
        }
        finally
        {
            ExportTarget.Remove(temporary);
        }
    }
}
