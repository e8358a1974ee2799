using System.Net;
using System.Net.Http.Headers;
using System.Security.Authentication;

namespace Grpo.Hub;

/// <summary>
/// Sends requests to the hub. It follows redirects itself, so that only the hub gets the token, and limits the time without data.
/// </summary>
internal sealed class HubConnection : IDisposable
{
    private const int MaxRedirects = 8;

    private readonly HubSettings _settings;
    private readonly HttpClient _client;

    public HubConnection(HubSettings settings)
    {
        _settings = settings;
        HttpMessageHandler handler = settings.MessageHandler ?? new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = settings.StallTimeout,
            UseCookies = false,
        };
        _client = new HttpClient(handler, disposeHandler: settings.MessageHandler is null) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>The settings of the download.</summary>
    public HubSettings Settings => _settings;

    public Uri AddressOf(string path) => new(_settings.Endpoint.AbsoluteUri.TrimEnd('/') + "/" + path);

    /// <summary>True if an address has the hub's scheme, host and port. Only then is the token sent.</summary>
    public bool IsHub(Uri? address) => address is not null
        && address.Scheme == _settings.Endpoint.Scheme
        && address.Port == _settings.Endpoint.Port
        && string.Equals(address.IdnHost, _settings.Endpoint.IdnHost, StringComparison.OrdinalIgnoreCase);

    /// <summary>
    /// Sends a request and returns the head of the response. With <paramref name="stopAtOtherHost"/> it returns a redirect to another host
    /// unchanged, because that holds the hub's own statements about the file.
    /// </summary>
    public async Task<HttpResponseMessage> SendAsync(
        HttpMethod method,
        Uri address,
        RangeConditionHeaderValue? ifRange,
        long rangeStart,
        bool stopAtOtherHost,
        CancellationToken cancellationToken)
    {
        for (int redirects = 0; redirects <= MaxRedirects; redirects++)
        {
            HttpResponseMessage response =
                await SendOnceAsync(method, address, ifRange, rangeStart, cancellationToken).ConfigureAwait(false);
            if ((int)response.StatusCode is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location)
            {
                return response;
            }

            if (!Uri.TryCreate(address, location, out Uri? next))
            {
                response.Dispose();
                throw new HubException($"{address.Host} redirects to what is no address. The hub or a proxy on the way is misconfigured.");
            }

            if (stopAtOtherHost && !IsHub(next))
            {
                return response;
            }

            response.Dispose();

            // Plain http is allowed only to this machine, and only from a hub on this machine.
            if (next.Scheme != Uri.UriSchemeHttps && !(HubSettings.IsSecure(next) && _settings.Endpoint.IsLoopback))
            {
                throw new HubException(
                    $"{address.Host} redirects to {next.Scheme}://{next.Host}, which is not https. Nothing was sent there.");
            }

            address = next;
        }

        throw new HubException($"{address.Host} redirects more than {MaxRedirects} times. The hub or a proxy on the way is misconfigured.");
    }

    /// <summary>Reads a small body. It refuses a body above the limit, whatever the header says.</summary>
    public async Task<byte[]> ReadAsync(HttpResponseMessage response, int maxBytes, string what, CancellationToken cancellationToken)
    {
        using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        using var content = new MemoryStream();
        var buffer = new byte[16_384];
        int count;
        while ((count = await ReadAsync(body, buffer, what, cancellationToken).ConfigureAwait(false)) > 0)
        {
            content.Write(buffer, 0, count);
            if (content.Length > maxBytes)
            {
                throw new HubException($"{what} has more than {maxBytes} bytes; the server is not answering as a hub does.");
            }
        }

        return response.Content.Headers.ContentLength is { } announced && announced != content.Length
            ? throw new HubTransientException($"{what} ended after {content.Length} of {announced} bytes.")
            : content.ToArray();
    }

    /// <summary>Reads a part of a body within the stall timeout. Returns 0 at the end.</summary>
    public async Task<int> ReadAsync(Stream body, Memory<byte> buffer, string what, CancellationToken cancellationToken)
    {
        try
        {
            return await WithStallTimeout(token => body.ReadAsync(buffer, token).AsTask(), what, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is (HttpRequestException or IOException) and not HubException)
        {
            throw new HubTransientException($"The connection was cut while {what} was read.", e);
        }
    }

    public void Dispose() => _client.Dispose();

    private async Task<HttpResponseMessage> SendOnceAsync(
        HttpMethod method, Uri address, RangeConditionHeaderValue? ifRange, long rangeStart, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, address);
        request.Headers.UserAgent.Add(new ProductInfoHeaderValue("Grpo", "0.1"));
        request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
        if (rangeStart > 0)
        {
            request.Headers.Range = new RangeHeaderValue(rangeStart, null);
            request.Headers.IfRange = ifRange;
        }

        if (_settings.Token is not null && IsHub(address))
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _settings.Token);
        }

        try
        {
            return await WithStallTimeout(
                token => _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token),
                address.Host,
                cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException e)
            when (e.HttpRequestError == HttpRequestError.SecureConnectionError || e.InnerException is AuthenticationException)
        {
            throw new HubException(
                $"No trusted connection to {address.Host}: its certificate was refused. Behind a proxy that opens "
                + "TLS, install its root certificate.", e);
        }
        catch (HttpRequestException e)
        {
            throw new HubTransientException($"{address.Host} cannot be reached ({e.HttpRequestError}).", e);
        }
    }

    private async Task<T> WithStallTimeout<T>(Func<CancellationToken, Task<T>> action, string what, CancellationToken cancellationToken)
    {
        using var stall = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        stall.CancelAfter(_settings.StallTimeout);
        try
        {
            return await action(stall.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HubTransientException(
                FormattableString.Invariant($"Nothing came for {_settings.StallTimeout.TotalSeconds:0.#} seconds ({what})."), e);
        }
    }
}
