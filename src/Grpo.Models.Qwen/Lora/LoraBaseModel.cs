namespace Grpo.Models.Qwen.Lora;

/// <summary>The model that an adapter belongs to, as its <c>adapter_config.json</c> names it.</summary>
/// <param name="Name">A folder or a hub id (<c>base_model_name_or_path</c>).</param>
/// <param name="Revision">Branch, tag or commit of a hub id; null: the default one.</param>
public sealed record LoraBaseModel(string Name, string? Revision = null);
