using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen.RewardModels;

/// <summary>The log messages of reward models.</summary>
internal static partial class RewardModelLog
{
    [LoggerMessage(
        EventId = 431, Level = LogLevel.Warning,
        Message = "The reward model '{Source}' has no chat template: Qwen2.5's is used, with the system message '{SystemMessage}'. If it "
            + "was trained with another template, pass an IChatTemplate in RewardModelOptions.ChatTemplate.")]
    public static partial void NoChatTemplateOfReward(this ILogger logger, string source, string systemMessage);

    [LoggerMessage(
        EventId = 432, Level = LogLevel.Warning,
        Message = "Reward {Name}: {Count} texts of prompt '{Prompt}' were longer than {MaxTokens} tokens; their beginning was left out.")]
    public static partial void TextsCut(this ILogger logger, string name, int count, string prompt, int maxTokens);
}
