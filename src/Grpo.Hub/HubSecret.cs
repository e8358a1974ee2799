using System.Text;
using Microsoft.Extensions.Logging;

namespace Grpo.Hub;

/// <summary>The access token, which is searched for and masked in all text that a server has influenced.</summary>
/// <remarks>
/// The server knows the token and could send it back as a host, a file name, a hash or a body. So every message, log and path is checked.
/// The token is found in any case, percent-encoded once or several times, in hexadecimal, and in Base64 of either alphabet at any position.
/// A token of fewer than <see cref="MinLength"/> characters is not searched for, because ordinary names could contain it ("test").
/// </remarks>
internal sealed class HubSecret
{
    /// <summary>The smallest number of characters of a token that is kept secret.</summary>
    public const int MinLength = 6;

    private const string Shown = "***";
    private readonly string[] _spellings;

    public HubSecret(string? token) => _spellings = token is null || token.Length < MinLength ? [] : [.. Spellings(token)];

    /// <summary>True if a text holds the token.</summary>
    public bool IsIn(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (LengthAt(text, i) > 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Returns a text with asterisks instead of the token.</summary>
    public string Mask(string text)
    {
        if (!IsIn(text))
        {
            return text;
        }

        var masked = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length;)
        {
            int length = LengthAt(text, i);
            masked.Append(length > 0 ? Shown : text[i].ToString());
            i += Math.Max(1, length);
        }

        return masked.ToString();
    }

    /// <summary>Returns a server's text that becomes part of a path or an address, unless it holds the token.</summary>
    /// <param name="text">The text.</param>
    /// <param name="what">The description of the text, for the message.</param>
    /// <exception cref="HubException">The text holds the token.</exception>
    public string Refuse(string text, string what) => !IsIn(text) ? text : throw new HubException(
        $"The hub sends the access token back in {what}. Nothing was written. Do not use this hub (HF_ENDPOINT) any more, "
        + "and revoke the token.");

    /// <summary>Returns a logger that masks the token in all messages.</summary>
    public ILogger Guard(ILogger logger) => new GuardedLogger(logger, this);

    /// <summary>Returns the length of the longest spelling of the token at a position of a text; 0 if there is none.</summary>
    private int LengthAt(string text, int start)
    {
        int longest = 0;
        foreach (string spelling in _spellings)
        {
            longest = Math.Max(longest, LengthAt(text, start, spelling));
        }

        return longest;
    }

    private static int LengthAt(string text, int start, string spelling)
    {
        int i = start;
        foreach (char expected in spelling)
        {
            if (i >= text.Length)
            {
                return 0;
            }

            (char actual, int length) = Decode(text, i);
            if (Fold(actual) != Fold(expected))
            {
                return 0;
            }

            i += length;
        }

        return i - start;
    }

    /// <summary>Returns a character, decoding "%41". The percent sign may itself be encoded any number of times: "%252541".</summary>
    private static (char Value, int Length) Decode(string text, int start)
    {
        int i = start + 1;
        while (i + 1 < text.Length && text[start] == '%' && text[i] == '2' && text[i + 1] == '5')
        {
            i += 2;
        }

        return text[start] == '%' && i + 1 < text.Length && char.IsAsciiHexDigit(text[i]) && char.IsAsciiHexDigit(text[i + 1])
            ? ((char)Convert.FromHexString(text.AsSpan(i, 2))[0], i + 2 - start)
            : (text[start], 1);
    }

    // Hosts lose their case. The two alphabets of Base64 differ in two characters.
    private static char Fold(char value) => value switch
    {
        '-' => '+',
        '_' => '/',
        _ => char.ToLowerInvariant(value),
    };

    private static IEnumerable<string> Spellings(string token)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(token);
        yield return token;
        yield return Convert.ToHexString(bytes);

        // The token may follow 0, 1 or 2 other bytes, such as those of "user:". Digits that also hold bits of neighbors are left out.
        for (int before = 0; before < 3; before++)
        {
            string digits = Convert.ToBase64String([.. new byte[before], .. bytes]);
            int first = ((8 * before) + 5) / 6, end = 8 * (before + bytes.Length) / 6;
            yield return digits[first..end];
        }
    }

    private sealed class GuardedLogger(ILogger logger, HubSecret secret) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => logger.BeginScope(state);

        public bool IsEnabled(LogLevel logLevel) => logger.IsEnabled(logLevel);

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (!logger.IsEnabled(logLevel))
            {
                return;
            }

            string text = formatter(state, exception);
            if (secret.IsIn(text) || (exception is not null && secret.IsIn(exception.ToString())))
            {
                // Without the fields and the exception, which hold the token as well.
                logger.Log(logLevel, eventId, secret.Mask(text), null, static (masked, _) => masked);
            }
            else
            {
                logger.Log(logLevel, eventId, state, exception, formatter);
            }
        }
    }
}
