namespace Grpo.Models.Qwen.Tests;

/// <summary>Checks what an error tells its reader.</summary>
internal static class ErrorAssert
{
    /// <summary>The action fails with this type, or one derived from it, and these words.</summary>
    public static void Says<T>(string words, Action action)
        where T : Exception =>
        Assert.Contains(words, Assert.ThrowsAny<T>(action).Message, StringComparison.Ordinal);
}
