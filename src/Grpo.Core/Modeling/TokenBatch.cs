using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// Prompts padded on the left and completions padded on the right, so that column P is the first completion token of every row.
/// Padding is told by the masks, never by the id. The tensors belong to the scope in which the batch was built.
/// </summary>
/// <param name="PromptIds">[B, P] int64.</param>
/// <param name="PromptMask">[B, P] int64, 1 for a real token; the ones are at the end of each row.</param>
/// <param name="CompletionIds">[B, C] int64; C is 0 when the batch only starts a decoding session.</param>
/// <param name="CompletionMask">[B, C] float32, 1 for a real token; the ones are at the start of each row; a row may be empty.</param>
public sealed record TokenBatch(Tensor PromptIds, Tensor PromptMask, Tensor CompletionIds, Tensor CompletionMask)
{
    /// <summary>
    /// Which rows have the same prompt; null where that is unknown or none have. A help, not another input: <see cref="PromptIds"/> holds every
    /// row's prompt in any case, and a policy may ignore this.
    /// </summary>
    public SharedPrompts? SharedPrompts { get; init; }

    /// <summary>Rows, B.</summary>
    public long Count => PromptIds.shape[0];

    /// <summary>Padded prompt length, P.</summary>
    public long PromptLength => PromptIds.shape[1];

    /// <summary>Padded completion length, C.</summary>
    public long CompletionLength => CompletionIds.shape[1];

    /// <summary>The same batch on a device, for a model that is not where the batch was built.</summary>
    /// <param name="device">The device.</param>
    /// <returns>This batch where it is there already, else a copy that belongs to the caller's scope.</returns>
    public TokenBatch To(Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return PromptIds.device.ToString() == device.ToString()
            ? this
            : new TokenBatch(PromptIds.to(device), PromptMask.to(device), CompletionIds.to(device), CompletionMask.to(device))
            {
                SharedPrompts = SharedPrompts is { } shared ? new SharedPrompts(shared.FirstRows.to(device), shared.PromptOfRow.to(device)) : null,
            };
    }
}
