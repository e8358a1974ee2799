namespace Grpo.Tensors;

/// <summary>The exception for a missing libtorch or device. Its message says what this machine lacks and what to do.</summary>
public sealed class BackendUnavailableException : InvalidOperationException
{
    /// <summary>Creates the exception with a message.</summary>
    /// <param name="message">The message: the missing part and the remedy.</param>
    public BackendUnavailableException(string message)
        : base(message)
    {
    }

    /// <summary>Creates the exception with a message and its cause.</summary>
    /// <param name="message">The message: the missing part and the remedy.</param>
    /// <param name="innerException">The failure of the loader or of TorchSharp.</param>
    public BackendUnavailableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
