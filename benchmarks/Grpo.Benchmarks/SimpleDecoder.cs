using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Grpo.Benchmarks;

/// <summary>
/// A straightforward decoder, the baseline of the decode results. Keys and values grow by concatenation and are repeated for every query
/// head, and each projection is a plain linear layer.
/// </summary>
internal sealed class SimpleDecoder : IDisposable
{
    private readonly Dictionary<string, Parameter> _weights;
    private readonly DecoderConfig _config;
    private readonly Tensor?[] _keys;
    private readonly Tensor?[] _values;

    public SimpleDecoder(CausalLM model)
    {
        _config = model.Config;
        _weights = model.named_parameters().ToDictionary(entry => entry.name, entry => entry.parameter, StringComparer.Ordinal);
        _keys = new Tensor?[_config.LayerCount];
        _values = new Tensor?[_config.LayerCount];
    }

    /// <summary>The number of tokens so far.</summary>
    public long Length { get; private set; }

    /// <summary>Appends tokens and returns the logits after the last one, [B, V].</summary>
    /// <param name="ids">The token ids, [B, T].</param>
    public Tensor Advance(Tensor ids)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor hidden = _weights["model.embed_tokens.weight"].index_select(0, ids.reshape(-1)).view(ids.shape[0], ids.shape[1], -1);
        for (int layer = 0; layer < _config.LayerCount; layer++)
        {
            string name = $"model.layers.{layer}.";
            hidden = hidden + Attend(Norm(hidden, name + "input_layernorm.weight"), name + "self_attn.", layer);
            Tensor normed = Norm(hidden, name + "post_attention_layernorm.weight");
            Tensor gated = F.silu(F.linear(normed, _weights[name + "mlp.gate_proj.weight"]))
                * F.linear(normed, _weights[name + "mlp.up_proj.weight"]);
            hidden = hidden + F.linear(gated, _weights[name + "mlp.down_proj.weight"]);
        }

        Length += ids.shape[1];
        Tensor last = Norm(hidden.select(1, -1), "model.norm.weight");
        return scope.Keep(F.linear(last, _weights["model.embed_tokens.weight"]));
    }

    /// <summary>Repeats the only row of the cache.</summary>
    public void Repeat(int rows)
    {
        foreach (Tensor?[] cache in new[] { _keys, _values })
        {
            for (int layer = 0; layer < cache.Length; layer++)
            {
                using var scope = TensorScope.BeginNoGrad();
                Tensor all = scope.Release(cache[layer]!.repeat_interleave(rows, 0));
                cache[layer]!.Dispose();
                cache[layer] = all;
            }
        }
    }

    public void Dispose()
    {
        foreach (Tensor? tensor in _keys.Concat(_values))
        {
            tensor?.Dispose();
        }
    }

    private Tensor Attend(Tensor hidden, string name, int layer)
    {
        Tensor queries = Rotate(Heads(hidden, name + "q_proj", _config.AttentionHeadCount));                 // [B, A, T, D]
        Tensor keys = Append(_keys, layer, Rotate(Heads(hidden, name + "k_proj", _config.KeyValueHeadCount)));
        Tensor values = Append(_values, layer, Heads(hidden, name + "v_proj", _config.KeyValueHeadCount));
        int repeats = _config.AttentionHeadCount / _config.KeyValueHeadCount;
        Tensor mixed = F.scaled_dot_product_attention(
            queries, keys.repeat_interleave(repeats, 1), values.repeat_interleave(repeats, 1), is_casual: hidden.shape[1] > 1);
        return F.linear(mixed.transpose(1, 2).reshape(hidden.shape), _weights[name + "o_proj.weight"]);
    }

    private static Tensor Append(Tensor?[] cache, int layer, Tensor next)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor all = scope.Release(cache[layer] is { } earlier ? cat([earlier, next], 2) : next.clone());
        cache[layer]?.Dispose();
        cache[layer] = all;
        return all;
    }

    private Tensor Heads(Tensor hidden, string name, int heads) =>
        F.linear(hidden, _weights[name + ".weight"], _weights[name + ".bias"]).view(hidden.shape[0], hidden.shape[1], heads, -1)
            .transpose(1, 2);

    private Tensor Rotate(Tensor heads)
    {
        long half = heads.shape[3] / 2;
        Tensor positions = arange(Length, Length + heads.shape[2], ScalarType.Float32, heads.device).unsqueeze(1);
        Tensor frequencies = (arange(half, ScalarType.Float64, heads.device) * (-Math.Log(_config.RopeTheta) / half)).exp()
            .to(ScalarType.Float32);
        Tensor angles = cat([positions * frequencies, positions * frequencies], 1);                          // [T, D]
        Tensor rotated = cat([-heads.narrow(3, half, half), heads.narrow(3, 0, half)], 3);
        return (heads * angles.cos()) + (rotated * angles.sin());
    }

    private Tensor Norm(Tensor hidden, string weight) =>
        hidden * (hidden.square().mean([-1], keepdim: true) + _config.RmsNormEpsilon).rsqrt() * _weights[weight];
}
