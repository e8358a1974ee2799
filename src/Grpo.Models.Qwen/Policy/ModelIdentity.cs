using System.Globalization;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Policy;

/// <summary>The identity of a model without its adapter: its configuration, its weights and the types in which it computes.</summary>
internal static class ModelIdentity
{
    /// <summary>Describes a model.</summary>
    /// <param name="model">The model. Borrowed.</param>
    /// <param name="role">The role that the model serves in, in addition to its family; empty for the model itself.</param>
    public static PlugInIdentity Describe(CausalLM model, string role = "") => model.Config.Mathematics()
        .Aggregate(
            new PlugInIdentity(model.Config.Family!.Name + role),
            (identity, entry) => identity.With($"config.{entry.Field}", Convert.ToString(entry.Value, CultureInfo.InvariantCulture)))
        .With("weights", model.DescribeWeights())
        .With("weight type", model.WeightType)
        .With("base in 4 bits", model.HasFourBitBase ? "NF4" : null)
        .With("compute type", model.ComputeType);

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
