using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>A batch of prompts padded on the left and completions padded on the right, so that all completions start in column P.</summary>
/// <remarks>Masks mark the padding, not ids. The tensors belong to the scope in which the batch was built.</remarks>
/// <param name="PromptIds">The ids of the prompts, [B, P] int64.</param>
/// <param name="PromptMask">The mask of the prompts, [B, P] int64: 1 for a real token. The ones are at the end of each row.</param>
/// <param name="CompletionIds">The ids of the completions, [B, C] int64. C is 0 if the batch only starts a decoding session.</param>
/// <param name="CompletionMask">
/// The mask of the completions, [B, C] float32: 1 for a real token. The ones are at the start of each row; a row may have none.
/// </param>
public sealed record TokenBatch(Tensor PromptIds, Tensor PromptMask, Tensor CompletionIds, Tensor CompletionMask)
{
    /// <summary>
    /// The rows that share a prompt, so that a policy may compute it once. Null if none do or it is unknown. A policy may ignore it, since
    /// <see cref="PromptIds"/> has the prompt of every row.
    /// </summary>
    /// <value>Default null.</value>
    public SharedPrompts? SharedPrompts { get; init; }

    /// <summary>The number of rows, B.</summary>
    public long Count => PromptIds.shape[0];

    /// <summary>The padded length of the prompts, P.</summary>
    public long PromptLength => PromptIds.shape[1];

    /// <summary>The padded length of the completions, C.</summary>
    public long CompletionLength => CompletionIds.shape[1];

    /// <summary>Copies the batch to a device, for a model on another device than the batch.</summary>
    /// <param name="device">The target device.</param>
    /// <returns>This batch if it is already on the device, else a copy that belongs to the caller's scope.</returns>
    public TokenBatch To(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return PromptIds.device.ToString() == device.ToString()
            ? this
            : new TokenBatch(PromptIds.to(device), PromptMask.to(device), CompletionIds.to(device), CompletionMask.to(device))
            {
                SharedPrompts = SharedPrompts is { } shared
                    ? new SharedPrompts(shared.FirstRows.to(device), shared.PromptOfRow.to(device))
                    : null,
            };
    }
}

/// <summary>
/// The assignment of the rows of a <see cref="TokenBatch"/> to N distinct prompts, so that a model may compute each prompt once.
/// </summary>
/// <param name="FirstRows">The index of a row with each prompt, [N] int64.</param>
/// <param name="PromptOfRow">The index of each row's prompt, below N, [B] int64.</param>
public sealed record SharedPrompts(Tensor FirstRows, Tensor PromptOfRow);
