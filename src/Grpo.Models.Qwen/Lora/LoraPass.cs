namespace Grpo.Models.Qwen.Lora;

/// <summary>What one forward pass does with the adapters. Part of the pass, so that a layer that is run again does the same again.</summary>
/// <param name="IsOff">Only the base is run.</param>
/// <param name="DropoutKey">Decides the masks of dropout; null: nothing is left out.</param>
internal sealed record LoraPass(bool IsOff, ulong? DropoutKey);
