using Grpo.DependencyInjection;
using Grpo.Modeling;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen;

/// <summary>Uses Qwen2 as policy, tokenizer, chat template and reference model.</summary>
public static class QwenBuilderExtensions
{
    /// <summary>Loads a Qwen2 model when it is first needed.</summary>
    /// <param name="builder">The builder.</param>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="device">cpu, cuda or cuda:n.</param>
    /// <param name="withReference">Also keep a frozen copy for the KL term.</param>
    public static GrpoBuilder UseQwen(this GrpoBuilder builder, string folderOrHubId, string device = "cpu", bool withReference = false) =>
        builder.UseQwen(folderOrHubId, new QwenLoadOptions { Device = device, WithReference = withReference });

    /// <summary>Loads a Qwen2 model when it is first needed.</summary>
    /// <param name="builder">The builder.</param>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="options">
    /// How it is loaded; with <see cref="QwenLoadOptions.Lora"/> only adapters are trained. Without
    /// <see cref="QwenLoadOptions.ChatTemplate"/> an object that is registered as <see cref="IChatTemplate"/> goes before the checkpoint's
    /// own.
    /// </param>
    /// <exception cref="ArgumentException">The options ask for dropout.</exception>
    public static GrpoBuilder UseQwen(this GrpoBuilder builder, string folderOrHubId, QwenLoadOptions options)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(options);
        if (options.Lora is { Dropout: > 0 and double dropout })
        {
            throw new ArgumentException(FormattableString.Invariant(
                $"Lora.Dropout is {dropout}, but GRPO needs the log-probs of the model that sampled, and with dropout they are another's. Set it to 0."), nameof(options));
        }

        builder.Services.TryAddSingleton(provider => QwenPretrained.Load(folderOrHubId, options with
        {
            ChatTemplate = ChatTemplateOf(builder.Services, options),
            Logger = options.Logger ?? provider.GetService<ILogger<QwenPretrained>>(),
        }));
        builder.UsePolicy(provider => provider.GetRequiredService<QwenPretrained>().Policy);
        builder.Services.TryAddSingleton<ITokenizer>(provider => provider.GetRequiredService<QwenPretrained>().Tokenizer);
        builder.Services.TryAddSingleton<IChatTemplate>(provider => provider.GetRequiredService<QwenPretrained>().ChatTemplate);
        return options.WithReference
            ? builder.UseReference(provider => provider.GetRequiredService<QwenPretrained>().Reference!)
            : builder;
    }

    // A template that the application registers, before or after UseQwen, is the one that prompts are rendered with. Only an object is
    // looked at: a factory may ask for the model, which is being loaded here.
    private static IChatTemplate? ChatTemplateOf(IServiceCollection services, QwenLoadOptions options)
    {
        ServiceDescriptor? last = services.LastOrDefault(service => service.ServiceType == typeof(IChatTemplate) && !service.IsKeyedService);
        var registered = last?.ImplementationInstance as IChatTemplate;
        return registered is not null && options.ChatTemplate is not null && registered != options.ChatTemplate
            ? throw new InvalidOperationException(
                $"{nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.ChatTemplate)} is one {nameof(IChatTemplate)} and the services hold another: "
                + "prompts would be rendered with that. Give one.")
            : options.ChatTemplate ?? registered;
    }
}
