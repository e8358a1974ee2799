using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Quantization;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Export;

/// <summary>The weights of a model to export. They are read one at a time, in float32, with the adapter merged.</summary>
internal abstract class ExportWeights(DecoderConfig config, double scale) : IDisposable
{
    /// <summary>The configuration of the model.</summary>
    internal DecoderConfig Config { get; } = config;

    /// <summary>Reads a weight of the model: W, or W + scale · B·A if the adapter changes it.</summary>
    /// <param name="name">The name in a Hugging Face checkpoint.</param>
    /// <returns>The weight, float32 on the CPU. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidDataException">The weight holds a value that is not finite.</exception>
    internal Tensor Read(string name)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = DeviceTransfer.ToCpu(ReadBase(name).to(ScalarType.Float32));
        if (ReadFactors(name) is var (down, up))
        {
            // The order of LoraAdapter.Merge, so that both give the same bits.
            weight = DeviceTransfer.ToCpu(up).mm(DeviceTransfer.ToCpu(down)).mul_(scale).add_(weight);
        }

        return DeviceTransfer.ToNumber<bool>(weight.isfinite().all())
            ? scope.Keep(weight)
            : throw new InvalidDataException(
                $"The weight {name} holds NaN or infinity: the model is broken. Export an earlier checkpoint.");
    }

    /// <inheritdoc/>
    public virtual void Dispose()
    {
    }

    /// <summary>Returns a weight without the adapter, of any type and on any device. Owned by the caller's scope, or borrowed.</summary>
    protected abstract Tensor ReadBase(string name);

    /// <summary>Returns the factors A [r, in] and B [out, r] of a weight; null if no adapter changes it.</summary>
    protected abstract (Tensor Down, Tensor Up)? ReadFactors(string name);

    /// <summary>Returns the names of the two factors of a weight.</summary>
    protected static (string Down, string Up) FactorNames(string name)
    {
        string module = name[..^Math.Min(name.Length, ".weight".Length)];
        return ($"{module}.{LoraAdapter.DownName}.weight", $"{module}.{LoraAdapter.UpName}.weight");
    }
}

/// <summary>The weights in the files of a checkpoint and, if there is one, of an adapter.</summary>
internal sealed class StoredWeights : ExportWeights
{
    private readonly SafetensorsCheckpoint _checkpoint;
    private readonly SafetensorsReader? _adapter;

    private StoredWeights(DecoderConfig config, SafetensorsCheckpoint checkpoint, SafetensorsReader? adapter, double scale)
        : base(config, scale)
    {
        _checkpoint = checkpoint;
        _adapter = adapter;
    }

    /// <summary>Opens the files and checks the names and shapes of all weights.</summary>
    /// <param name="directory">The folder of the model.</param>
    /// <param name="adapter">The folder of the adapter; null if there is none.</param>
    internal static StoredWeights Open(string directory, string? adapter)
    {
        DecoderConfig config = DecoderConfig.Load(directory);
        SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(directory);
        try
        {
            QwenWeights.RequireMatch(config, checkpoint, directory);
            if (adapter is null)
            {
                return new StoredWeights(config, checkpoint, adapter: null, scale: 0);
            }

            LoraOptions options = LoraConfigFile.Load(adapter).Options;
            return new StoredWeights(config, checkpoint, LoraAdapterFiles.Open(config, options, adapter), options.Scale);
        }
        catch
        {
            checkpoint.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _adapter?.Dispose();
        _checkpoint.Dispose();
        base.Dispose();
    }

    /// <inheritdoc/>
    /// <remarks>
    /// An adapter that was trained on a base in 4 bits corrects the rounded weights. So it is merged into those, not into the stored ones.
    /// </remarks>
    protected override Tensor ReadBase(string name) =>
        _adapter is not null && LoraAdapterFiles.HasFourBitBase(_adapter) && IsProjection(name)
        ? Nf4Weight.Dequantize(Nf4Quantizer.Quantize(_checkpoint.Read(name)), ScalarType.Float32)
        : _checkpoint.Read(name);

    /// <inheritdoc/>
    protected override (Tensor Down, Tensor Up)? ReadFactors(string name)
    {
        (string down, string up) = FactorNames(name);
        (down, up) = (LoraAdapterFiles.NamePrefix + down, LoraAdapterFiles.NamePrefix + up);
        return _adapter is null || !_adapter.Entries.ContainsKey(down)
            ? null
            : (_adapter.Read(down).to(ScalarType.Float32), _adapter.Read(up).to(ScalarType.Float32));
    }

    private static bool IsProjection(string name) =>
        LoraOptions.AllTargetModules.Any(module => name.EndsWith($".{module}.weight", StringComparison.Ordinal));
}

/// <summary>The weights of a model in memory. An adapter of the model that is not merged is merged into what is read.</summary>
internal sealed class ModelWeights : ExportWeights
{
    private readonly Dictionary<string, Tensor> _base;
    private readonly Dictionary<string, Nf4Weight> _packed;
    private readonly Dictionary<string, Tensor> _factors;

    /// <param name="model">The model. It is not changed.</param>
    internal ModelWeights(CausalLM model)
        : base(model.Config, model.Adapter?.Options.Scale ?? 0)
    {
        _base = model.BaseParameters().ToDictionary(named => named.Name, named => (Tensor)named.Parameter, StringComparer.Ordinal);
        _packed = model.PackedWeights().ToDictionary(named => named.Name, named => named.Weight, StringComparer.Ordinal);
        _factors = model.Adapter is { IsMerged: false } adapter
            ? adapter.Parameters().ToDictionary(named => named.Name, named => (Tensor)named.Parameter, StringComparer.Ordinal)
            : [];
    }

    /// <inheritdoc/>
    /// <remarks>For a base in 4 bits, these are the numbers that the policy computes with.</remarks>
    protected override Tensor ReadBase(string name) => _packed.TryGetValue(name, out Nf4Weight? packed)
        ? Nf4Weight.Dequantize(packed.Data, ScalarType.Float32)
        : _base[name].detach();

    /// <inheritdoc/>
    protected override (Tensor Down, Tensor Up)? ReadFactors(string name)
    {
        (string down, string up) = FactorNames(name);
        return _factors.TryGetValue(down, out Tensor? found) ? (found.detach(), _factors[up].detach()) : null;
    }
}
