using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Modeling;

public sealed class TokenBatchBuilderTests
{
    [Fact]
    public void Build_pads_prompts_on_the_left_and_completions_on_the_right()
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build(
            [new([11, 12, 13], [21]), new([14], [22, 23]), new([15, 16], [])], padTokenId: 9, CPU);

        Assert.Equal((3, 3, 2), (batch.Count, batch.PromptLength, batch.CompletionLength));
        Assert.Equal([11, 12, 13, 9, 9, 14, 9, 15, 16], batch.PromptIds.data<long>());
        Assert.Equal([1, 1, 1, 0, 0, 1, 0, 1, 1], batch.PromptMask.data<long>());
        Assert.Equal([21, 9, 22, 23, 9, 9], batch.CompletionIds.data<long>());
        Assert.Equal([1, 0, 1, 1, 0, 0], batch.CompletionMask.data<float>());
        Assert.Equal(ScalarType.Int64, batch.PromptMask.dtype);
        Assert.Equal(ScalarType.Float32, batch.CompletionMask.dtype);
    }

    [Fact]
    public void Build_masks_by_position_when_the_pad_is_a_real_token_too()
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new([7, 7], [7]), new([7], [7, 7])], padTokenId: 7, CPU);
        Assert.Equal([1, 1, 0, 1], batch.PromptMask.data<long>());
        Assert.Equal([1, 0, 1, 1], batch.CompletionMask.data<float>());
    }

    [Fact]
    public void Build_makes_completions_of_length_zero_when_none_has_a_token()
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new([1], []), new([2, 3], [])], padTokenId: 0, CPU);
        Assert.Equal([2, 0], batch.CompletionIds.shape);
        Assert.Equal([2, 0], batch.CompletionMask.shape);
    }

    [Fact]
    public void Build_gives_its_tensors_to_the_callers_scope()
    {
        TokenBatch batch;
        using (TensorScope.Begin())
        {
            batch = TokenBatchBuilder.Build([new([1], [2])], padTokenId: 0, CPU);
            Assert.False(batch.PromptIds.IsInvalid);
        }

        Assert.All(
            new[] { batch.PromptIds, batch.PromptMask, batch.CompletionIds, batch.CompletionMask },
            tensor => Assert.True(tensor.IsInvalid));
    }

    [Fact]
    public void Build_refuses_no_rows_and_empty_prompts()
    {
        Assert.StartsWith(
            "A batch needs at least one sequence.",
            Assert.Throws<ArgumentException>(() => TokenBatchBuilder.Build([], 0, CPU)).Message, StringComparison.Ordinal);
        Assert.StartsWith(
            "The prompt of sequence 1 has no tokens; a model needs at least one to predict the next.",
            Assert.Throws<ArgumentException>(() => TokenBatchBuilder.Build([new([1], []), new([], [1])], 0, CPU)).Message,
            StringComparison.Ordinal);
    }
}
