using System.Globalization;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Policy;

/// <summary>The identity of a Qwen2 model without its adapter: configuration, weights, and the types that it computes in.</summary>
internal static class ModelIdentity
{
    /// <summary>Describes a model.</summary>
    /// <param name="kind">The kind of plug-in that the model serves as.</param>
    /// <param name="model">The model. Borrowed.</param>
    public static PlugInIdentity Of(string kind, Qwen2ForCausalLM model) => model.Config.Mathematics()
        .Aggregate(
            new PlugInIdentity(kind),
            (identity, entry) => identity.With($"config.{entry.Field}", Convert.ToString(entry.Value, CultureInfo.InvariantCulture)))
        .With("weights", model.DescribeWeights())
        .With("weight type", model.WeightType)
        .With("compute type", model.ComputeType);

    /// <summary>Adds the options of an adapter, each as a fact of its own; null adds nothing.</summary>
    /// <param name="identity">The identity of the base.</param>
    /// <param name="adapter">The options.</param>
    public static PlugInIdentity WithAdapter(this PlugInIdentity identity, LoraOptions? adapter) => adapter is null ? identity : identity
        .With("lora.rank", adapter.Rank)
        .With("lora.alpha", adapter.Alpha)
        .With("lora.rank-stabilized scale", adapter.UseRankStabilizedScale.ToString())
        .With("lora.target modules", string.Join(", ", adapter.TargetModules.Order(StringComparer.Ordinal)))
        .With("lora.dropout", adapter.Dropout)
        .With("lora.seed", adapter.Seed);
}
