using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>The token embedding W [V, H].</summary>
internal sealed class TokenEmbedding : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")] private readonly Parameter _weight;

    internal TokenEmbedding(long vocabulary, long width, ParameterPlacement placement)
        : base(nameof(TokenEmbedding))
    {
        _weight = placement.Allocate(vocabulary, width);
        RegisterComponents();
    }

    /// <summary>The weight, [V, H].</summary>
    internal Tensor Weight => _weight;

    /// <summary>Looks up the rows of token ids.</summary>
    /// <param name="tokenIds">The token ids, [B, T] int64.</param>
    /// <returns>The rows, [B, T, H].</returns>
    public override Tensor forward(Tensor tokenIds)
    {
        using var scope = TensorScope.Begin();
        Tensor rows = EmbeddingLookup.Rows(_weight, tokenIds.reshape(-1));   // [B·T, H]
        return scope.Keep(rows.view(tokenIds.shape[0], tokenIds.shape[1], _weight.shape[1]));
    }
}
