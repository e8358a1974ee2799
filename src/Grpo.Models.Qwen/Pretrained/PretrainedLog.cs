using Microsoft.Extensions.Logging;

namespace Grpo.Models.Qwen.Pretrained;

/// <summary>The messages of loading.</summary>
internal static partial class PretrainedLog
{
    [LoggerMessage(
        EventId = 412,
        Level = LogLevel.Warning,
        Message = "The adapter in '{Adapter}' was trained on a base in 4 bits and is loaded onto the unrounded one, which is another "
            + "model. To continue as it was trained, set QwenLoadOptions.FourBitBase.")]
    public static partial void OtherBase(this ILogger logger, string adapter);
}
