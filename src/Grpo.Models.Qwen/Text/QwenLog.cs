using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen.Text;

internal static partial class QwenLog
{
    [LoggerMessage(
        EventId = 411,
        Level = LogLevel.Warning,
        Message = "'{Source}' has no chat template: Qwen2.5's is used, with the system message '{SystemMessage}'. "
            + "If the model was trained with another template, pass an IChatTemplate in QwenLoadOptions.ChatTemplate.")]
    public static partial void NoChatTemplate(this ILogger logger, string source, string systemMessage);
}
