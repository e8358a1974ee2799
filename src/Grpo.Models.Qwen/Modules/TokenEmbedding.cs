using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>Looks up the rows of W [V, H].</summary>
internal sealed class TokenEmbedding : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")] private readonly Parameter _weight;

    internal TokenEmbedding(long vocabulary, long width, ParameterPlace place)
        : base(nameof(TokenEmbedding))
    {
        _weight = place.Allocate(vocabulary, width);
        RegisterComponents();
    }

    /// <summary>[V, H].</summary>
    internal Tensor Weight => _weight;

    /// <param name="tokenIds">[B, T] int64.</param>
    /// <returns>[B, T, H].</returns>
    public override Tensor forward(Tensor tokenIds)
    {
        using var scope = TensorScope.Begin();
        Tensor rows = EmbeddingLookup.Rows(_weight, tokenIds.reshape(-1));   // [B·T, H]
        return scope.Keep(rows.view(tokenIds.shape[0], tokenIds.shape[1], _weight.shape[1]));
    }
}
