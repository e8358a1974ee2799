using System.Globalization;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Policy;

/// <summary>The identity of a model without its adapter: its configuration, its weights and the types in which it computes.</summary>
internal static class ModelIdentity
{
    /// <summary>Describes a model.</summary>
    /// <param name="model">The model. Borrowed.</param>
    /// <param name="role">The role that the model serves in, in addition to its family; empty for the model itself.</param>
    public static PlugInIdentity Describe(CausalLM model, string role = "") => new PlugInIdentity(model.Config.Family!.Name + role)
        .WithConfig(model.Config)
        .With("weights", model.DescribeWeights())
        .With("weight type", model.WeightType)
        .With("base in 4 bits", model.HasFourBitBase ? "NF4" : null)
        .With("compute type", model.ComputeType);

    /// <summary>Adds each field of a configuration that decides what is computed.</summary>
    /// <param name="identity">The identity so far.</param>
    /// <param name="config">The configuration.</param>
    public static PlugInIdentity WithConfig(this PlugInIdentity identity, DecoderConfig config) => config.Mathematics().Aggregate(
        identity, (facts, entry) => facts.With($"config.{entry.Field}", Convert.ToString(entry.Value, CultureInfo.InvariantCulture)));

    /// <summary>Adds each option of an adapter as a fact. Null adds nothing.</summary>
    /// <param name="identity">The identity of the base.</param>
    /// <param name="adapter">The options of the adapter.</param>
    public static PlugInIdentity WithAdapter(this PlugInIdentity identity, LoraOptions? adapter) => adapter is null ? identity : identity
        .With("lora.rank", adapter.Rank)
        .With("lora.alpha", adapter.Alpha)
        .With("lora.rank-stabilized scale", adapter.UseRankStabilizedScale.ToString())
        .With("lora.target modules", string.Join(", ", adapter.TargetModules.Order(StringComparer.Ordinal)))
        .With("lora.dropout", adapter.Dropout)
        .With("lora.seed", adapter.Seed);
}
