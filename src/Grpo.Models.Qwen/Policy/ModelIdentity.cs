using System.Globalization;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Policy;

/// <summary>The identity of a Qwen2 model without its adapter: its configuration, its weights and the types in which it computes.</summary>
internal static class ModelIdentity
{
    /// <summary>Describes a model.</summary>
    /// <param name="kind">The kind of plug-in that the model serves as.</param>
    /// <param name="model">The model. Borrowed.</param>
    public static PlugInIdentity Describe(string kind, CausalLM model) => model.Config.Mathematics()
        .Aggregate(
            new PlugInIdentity(kind),
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
