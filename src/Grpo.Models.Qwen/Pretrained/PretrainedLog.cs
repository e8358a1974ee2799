using Microsoft.Extensions.Logging;
using static TorchSharp.torch;

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

    [LoggerMessage(
        EventId = 413,
        Level = LogLevel.Warning,
        Message = "{Type} on {Device} is 8 to 9 times slower than float32, because the processor has no instructions for it. "
            + "Omit ComputeType and KeepStoredType for float32.")]
    public static partial void SlowType(this ILogger logger, ScalarType type, Device device);
}
