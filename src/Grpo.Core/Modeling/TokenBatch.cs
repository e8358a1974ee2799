using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// A batch of B prompts, padded on the left to P tokens, and their completions, padded on the right to C tokens. In the joined rows, all
/// completions therefore start at column P.
/// </summary>
/// <remarks>
/// Only the masks tell which tokens are real. The ids at padded positions have no meaning. The tensors belong to the
/// <see cref="Grpo.Tensors.TensorScope"/> in which the batch was built.
/// </remarks>
/// <param name="PromptIds">The ids of the prompts, [B, P] int64.</param>
/// <param name="PromptMask">The mask of the prompts, [B, P] int64: 1 for a real token. The ones are at the end of each row.</param>
/// <param name="CompletionIds">
/// The ids of the completions, [B, C] int64. C is 0 in a batch that holds only prompts, as at the start of sampling.
/// </param>
/// <param name="CompletionMask">
/// The mask of the completions, [B, C] float32, since losses are multiplied by it: 1 for a real token. The ones are at the start of each
/// row. A row may have none.
/// </param>
public sealed record TokenBatch(Tensor PromptIds, Tensor PromptMask, Tensor CompletionIds, Tensor CompletionMask)
{
    private readonly Known? _known;

    /// <summary>
    /// The rows that share a prompt, so that a policy can compute that prompt once. Null if no rows share a prompt, or if this is unknown.
    /// A policy may ignore this property, since <see cref="PromptIds"/> has the prompt of every row.
    /// </summary>
    /// <value>Default null.</value>
    public SharedPrompts? SharedPrompts { get; init; }

    /// <summary>
    /// The token ids of the rows on the CPU, without padding, so that a policy can plan a pass without waiting for the device. Null if they
    /// are unknown. Change no tensor of the batch in place: the ids would then differ from it.
    /// </summary>
    /// <value>Default null, also in a copy in which another tensor has replaced one of the batch.</value>
    public IReadOnlyList<TokenSequence>? Sequences
    {
        get => _known is { } known && ReferenceEquals(known.PromptIds, PromptIds) && ReferenceEquals(known.PromptMask, PromptMask)
            && ReferenceEquals(known.CompletionIds, CompletionIds) && ReferenceEquals(known.CompletionMask, CompletionMask)
            ? known.Sequences
            : null;
        internal init => _known = value is null ? null : new Known(value, PromptIds, PromptMask, CompletionIds, CompletionMask);
    }

    /// <summary>The number of rows, B.</summary>
    public long Count => PromptIds.shape[0];

    /// <summary>The padded length of the prompts, P.</summary>
    public long PromptLength => PromptIds.shape[1];

    /// <summary>The padded length of the completions, C.</summary>
    public long CompletionLength => CompletionIds.shape[1];

    /// <summary>Returns the batch on a device. Copies it if it is on another device.</summary>
    /// <param name="device">The target device.</param>
    /// <returns>This batch if it is already on the device. Otherwise a copy, which belongs to the caller's scope.</returns>
    public TokenBatch To(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return PromptIds.device.ToString() == device.ToString()
            ? this
            : new TokenBatch(Moved(PromptIds), Moved(PromptMask), Moved(CompletionIds), Moved(CompletionMask))
            {
                SharedPrompts = SharedPrompts is { } shared
                    ? new SharedPrompts(Moved(shared.FirstRows), Moved(shared.PromptOfRow)) { Assignment = shared.Assignment }
                    : null,
                Sequences = Sequences,
            };

        Tensor Moved(Tensor tensor) => DeviceTransfer.ToDevice(tensor, device);
    }

    // The sequences, and the tensors that were built from them.
    private sealed record Known(
        IReadOnlyList<TokenSequence> Sequences, Tensor PromptIds, Tensor PromptMask, Tensor CompletionIds, Tensor CompletionMask);
}

/// <summary>
/// The assignment of the rows of a <see cref="TokenBatch"/> to N distinct prompts, so that a policy can compute each prompt once.
/// </summary>
/// <param name="FirstRows">The index of a row that has the prompt, for each prompt, [N] int64.</param>
/// <param name="PromptOfRow">The index of the prompt of each row, 0 to N − 1, [B] int64.</param>
public sealed record SharedPrompts(Tensor FirstRows, Tensor PromptOfRow)
{
    private readonly (IReadOnlyList<int> Indices, Tensor PromptOfRow)? _known;

    /// <summary>
    /// The numbers of <see cref="PromptOfRow"/> on the CPU, so that a policy can plan a pass without waiting for the device. Null if they
    /// are unknown.
    /// </summary>
    /// <value>Default null, also in a copy in which another tensor has replaced <see cref="PromptOfRow"/>.</value>
    public IReadOnlyList<int>? Assignment
    {
        get => _known is { } known && ReferenceEquals(known.PromptOfRow, PromptOfRow) ? known.Indices : null;
        internal init => _known = value is null ? null : (value, PromptOfRow);
    }
}
