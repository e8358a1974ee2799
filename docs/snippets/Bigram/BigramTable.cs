using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>Row t holds the logits of the token that follows token t.</summary>
public sealed class BigramTable : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "logits")] private readonly Parameter _logits;         // [V, V]

    public BigramTable(int vocabularySize)
        : base(nameof(BigramTable))
    {
        using var scope = TensorScope.Begin();
        _logits = new Parameter(scope.Release(zeros(vocabularySize, vocabularySize)));
        RegisterComponents();                                                    // last: it looks at the fields
    }

    /// <summary>[R] int64 → [R, V].</summary>
    public override Tensor forward(Tensor tokenIds) => _logits.index_select(0, tokenIds);
}
