using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Grpo.Models.Qwen;

/// <summary>Uses Qwen2 as policy, tokenizer, chat template and reference model.</summary>
public static class QwenBuilderExtensions
{
    /// <summary>Loads a Qwen2 model when it is first needed.</summary>
    /// <param name="builder">The builder.</param>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="device">cpu, cuda or cuda:n.</param>
    /// <param name="withReference">Also keep a frozen copy for the KL term.</param>
    public static GrpoBuilder UseQwen(this GrpoBuilder builder, string folderOrHubId, string device = "cpu", bool withReference = false)
    {
        ArgumentNullException.ThrowIfNull(builder);
        builder.Services.TryAddSingleton(_ => QwenPretrained.Load(folderOrHubId, device, withReference));
        builder.UsePolicy(provider => provider.GetRequiredService<QwenPretrained>().Policy);
        builder.Services.TryAddSingleton<ITokenizer>(provider => provider.GetRequiredService<QwenPretrained>().Tokenizer);
        builder.Services.TryAddSingleton<IChatTemplate>(provider => provider.GetRequiredService<QwenPretrained>().ChatTemplate);
        return withReference
            ? builder.UseReference(provider => provider.GetRequiredService<QwenPretrained>().Reference!)
            : builder;
    }
}
