using Grpo.Modeling;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen;

/// <summary>Registers a model of Qwen2, Qwen3 or Llama as policy, tokenizer, chat template and reference model.</summary>
public static class QwenBuilderExtensions
{
    /// <summary>Registers a model, which is loaded when it is first needed.</summary>
    /// <param name="builder">The builder.</param>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="device">The device of the weights: cpu, cuda or cuda:n.</param>
    /// <param name="withReference">True to keep a frozen copy for the KL term.</param>
    public static GrpoBuilder UseQwen(this GrpoBuilder builder, string folderOrHubId, string device = "cpu", bool withReference = false) =>
        builder.UseQwen(folderOrHubId, new QwenLoadOptions { Device = device, WithReference = withReference });

    /// <summary>Registers a model with all options, such as adapters. The model is loaded when it is first needed.</summary>
    /// <param name="builder">The builder.</param>
    /// <param name="folderOrHubId">An existing folder, or an id such as Qwen/Qwen2.5-1.5B-Instruct.</param>
    /// <param name="options">
    /// The options for loading. With <see cref="QwenLoadOptions.Lora"/> only adapters are trained. If
    /// <see cref="QwenLoadOptions.ChatTemplate"/> is null, an object that is registered as <see cref="IChatTemplate"/> takes precedence
    /// over the checkpoint's own template.
    /// </param>
    /// <exception cref="ArgumentException">The options ask for dropout.</exception>
    public static GrpoBuilder UseQwen(this GrpoBuilder builder, string folderOrHubId, QwenLoadOptions options)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentNullException.ThrowIfNull(options);
        if (options.Lora is { Dropout: > 0 and double dropout })
        {
            throw new ArgumentException(FormattableString.Invariant(
                $"Lora.Dropout is {dropout}, but GRPO needs the log-probs of the model that sampled, and with ")
                + "dropout they are another's. Set it to 0.", nameof(options));
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

    // A template that the application registers renders the prompts, whether it is registered before or after UseQwen. Only an instance
    // counts: a factory might ask for the model, which is being loaded here.
    private static IChatTemplate? ChatTemplateOf(IServiceCollection services, QwenLoadOptions options)
    {
        ServiceDescriptor? last = services.LastOrDefault(
            service => service.ServiceType == typeof(IChatTemplate) && !service.IsKeyedService);
        var registered = last?.ImplementationInstance as IChatTemplate;
        return registered is not null && options.ChatTemplate is not null && registered != options.ChatTemplate
            ? throw new InvalidOperationException(
                $"{nameof(QwenLoadOptions)}.{nameof(QwenLoadOptions.ChatTemplate)} is one {nameof(IChatTemplate)} and the services hold "
                + "another: prompts would be rendered with that. Give one.")
            : options.ChatTemplate ?? registered;
    }
}
