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
        HttpRequestMessage Create(Uri target)
        {
            var request = new HttpRequestMessage(method, target);
            if (rangeStart > 0)
            {
                request.Headers.Range = new RangeHeaderValue(rangeStart, null);
                request.Headers.IfRange = ifRange;
            }

            return request;
        }

        return await FollowAsync(
            address, stopAtOtherHost, hasBody: false, next => SendOnceAsync(_ => Create(next), cancellationToken)).ConfigureAwait(false);
    }

    /// <summary>
    /// Sends a request with a body and returns the head of the response. A redirect is followed only if it keeps the method and the body.
    /// The headers of the body go to the first host only.
    /// </summary>
    public Task<HttpResponseMessage> SendAsync(HubBody body, Uri address, CancellationToken cancellationToken)
    {
        HttpRequestMessage Create(Uri target, Action moved)
        {
            var request = new HttpRequestMessage(body.Method, target) { Content = body.Create(moved) };
            foreach ((string name, string value) in target.Authority == address.Authority ? body.Headers : HubBody.NoHeaders)
            {
                bool isKnown = request.Headers.TryAddWithoutValidation(name, value)
                    || request.Content.Headers.TryAddWithoutValidation(name, value);
                if (!isKnown)
                {
                    throw new HubException($"{address.Host} is to be sent a header that is none. The hub does not answer as a hub does.");
                }
            }

            return request;
        }

        return FollowAsync(
            address,
            stopAtOtherHost: false,
            hasBody: true,
            next => SendOnceAsync(moved => Create(next, moved), cancellationToken));
    }

    /// <summary>True for https, and for http to this machine if the hub is on this machine too.</summary>
    public bool MaySendTo(Uri address) =>
        address.Scheme == Uri.UriSchemeHttps || (HubSettings.IsSecure(address) && _settings.Endpoint.IsLoopback);

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
            return await WithStallTimeout(
                (_, token) => body.ReadAsync(buffer, token).AsTask(), () => what, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is (HttpRequestException or IOException) and not HubException)
        {
            throw new HubTransientException($"The connection was cut while {what} was read.", e);
        }
    }

    public void Dispose() => _client.Dispose();

    private async Task<HttpResponseMessage> FollowAsync(
        Uri address, bool stopAtOtherHost, bool hasBody, Func<Uri, Task<HttpResponseMessage>> send)
    {
        for (int redirects = 0; redirects <= MaxRedirects; redirects++)
        {
            HttpResponseMessage response = await send(address).ConfigureAwait(false);
            int code = (int)response.StatusCode;
            if (code is not (301 or 302 or 303 or 307 or 308) || response.Headers.Location is not { } location)
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
            if (hasBody && code is not (307 or 308))
            {
                throw new HubException(
                    $"{address.Host} redirects an upload with {code}, which would lose its content. "
                    + "The hub or a proxy on the way is misconfigured.");
            }

            // Plain http is allowed only to this machine, and only from a hub on this machine.
            if (!MaySendTo(next))
            {
                throw new HubException(
                    $"{address.Host} redirects to {next.Scheme}://{next.Host}, which is not https. Nothing was sent there.");
            }

            address = next;
        }

        throw new HubException($"{address.Host} redirects more than {MaxRedirects} times. The hub or a proxy on the way is misconfigured.");
    }

    private async Task<HttpResponseMessage> SendOnceAsync(
        Func<Action, HttpRequestMessage> create, CancellationToken cancellationToken)
    {
        string host = string.Empty;
        try
        {
            return await WithStallTimeout(Send, () => host, cancellationToken).ConfigureAwait(false);
        }
        catch (HttpRequestException e) when (e.InnerException is HubException failure)
        {
            throw new HubException(failure.Message, e); // the body could not be read, so the line is not at fault
        }
        catch (HttpRequestException e)
            when (e.HttpRequestError == HttpRequestError.SecureConnectionError || e.InnerException is AuthenticationException)
        {
            throw new HubException(
                $"No trusted connection to {host}: its certificate was refused. Behind a proxy that opens "
                + "TLS, install its root certificate.", e);
        }
        catch (HttpRequestException e)
        {
            throw new HubTransientException($"{host} cannot be reached ({e.HttpRequestError}).", e);
        }

        async Task<HttpResponseMessage> Send(Action moved, CancellationToken token)
        {
            using HttpRequestMessage request = create(moved);
            host = request.RequestUri!.Host;
            request.Headers.UserAgent.Add(new ProductInfoHeaderValue("Grpo", "0.1"));
            request.Headers.AcceptEncoding.Add(new StringWithQualityHeaderValue("identity"));
            if (_settings.Token is not null && IsHub(request.RequestUri) && request.Headers.Authorization is null)
            {
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", _settings.Token);
            }

            return await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, token).ConfigureAwait(false);
        }
    }

    // The action may say that something moved, which starts the time again.
    private async Task<T> WithStallTimeout<T>(
        Func<Action, CancellationToken, Task<T>> action, Func<string> what, CancellationToken cancellationToken)
    {
        using var stall = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        stall.CancelAfter(_settings.StallTimeout);
        try
        {
            return await action(() => stall.CancelAfter(_settings.StallTimeout), stall.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HubTransientException(
                FormattableString.Invariant($"Nothing came for {_settings.StallTimeout.TotalSeconds:0.#} seconds ({what()})."), e);
        }
    }
}

/// <summary>The body of a request, which is created anew for each attempt and redirect.</summary>
/// <param name="Method">The method.</param>
/// <param name="Create">Creates the content. It calls its argument whenever bytes have left.</param>
/// <param name="Headers">Further headers of the request.</param>
internal sealed record HubBody(HttpMethod Method, Func<Action, HttpContent> Create, IReadOnlyDictionary<string, string> Headers)
{
    public static readonly IReadOnlyDictionary<string, string> NoHeaders = new Dictionary<string, string>();
}
