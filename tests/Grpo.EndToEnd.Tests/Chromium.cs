using System.Diagnostics;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>A headless Chromium with one tab, driven over its DevTools protocol; everything that it reports is kept.</summary>
internal sealed partial class Chromium : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private readonly TemporaryFolder _profile = new();
    private readonly CancellationTokenSource _limit = new(Limit);
    private readonly ClientWebSocket _socket = new();
    private readonly List<JsonObject> _events = [];
    private Process? _process;
    private string? _session;
    private int _calls;

    /// <summary>The browser's program; null where there is none.</summary>
    public static string? Program { get; } = new[] { "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome" }
        .FirstOrDefault(File.Exists);

    /// <summary>What the browser reported so far, such as Runtime.consoleAPICalled and Network.requestWillBeSent.</summary>
    public IEnumerable<JsonObject> Events(params string[] methods) =>
        _events.Where(item => methods.Contains(item["method"]!.GetValue<string>()));

    public static async Task<Chromium> StartAsync()
    {
        var browser = new Chromium();
        try
        {
            await browser.OpenAsync();
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    /// <summary>Calls a method of the protocol for the tab and gives its result.</summary>
    public Task<JsonNode> CallAsync(string method, object? parameters = null) => SendAsync(method, parameters, _session);

    /// <summary>Opens a page and waits until it is loaded.</summary>
    public async Task NavigateAsync(string url)
    {
        int loads = Events("Page.loadEventFired").Count();
        JsonNode result = await CallAsync("Page.navigate", new { url });
        Assert.Null(result["errorText"]);
        while (Events("Page.loadEventFired").Count() == loads)
        {
            await ReceiveAsync();
        }
    }

    /// <summary>The value of a JavaScript expression in the page.</summary>
    public async Task<JsonNode?> EvaluateAsync(string expression)
    {
        JsonNode result = await CallAsync("Runtime.evaluate", new { expression, returnByValue = true });
        Assert.True(result["exceptionDetails"] is null, result.ToJsonString());
        return result["result"]!["value"];
    }

    /// <summary>The width, height and color scheme that the page sees.</summary>
    public async Task ShowAsAsync(int width, int height, bool mobile, string colorScheme)
    {
        await CallAsync("Emulation.setDeviceMetricsOverride", new { width, height, deviceScaleFactor = mobile ? 2 : 1, mobile });
        await CallAsync(
            "Emulation.setEmulatedMedia", new { features = new[] { new { name = "prefers-color-scheme", value = colorScheme } } });
    }

    /// <summary>A PNG of the whole page.</summary>
    public async Task<byte[]> ScreenshotAsync() =>
        (await CallAsync("Page.captureScreenshot", new { format = "png", captureBeyondViewport = true }))["data"]!.GetValue<string>()
            is var data ? Convert.FromBase64String(data) : [];

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        if (_process is not null)
        {
            if (!_process.HasExited)
            {
                _process.Kill(entireProcessTree: true);
            }

            await _process.WaitForExitAsync();
            _process.Dispose();
        }

        _limit.Dispose();
        _profile.Dispose();
    }

    private async Task OpenAsync()
    {
        string[] arguments =
        [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
            "--remote-debugging-port=0", $"--user-data-dir={_profile["data"]}", "about:blank",
        ];
        var start = new ProcessStartInfo(Program!, arguments)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        _process = new Process { StartInfo = start, EnableRaisingEvents = true };
        var address = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var said = new StringBuilder();
        _process.OutputDataReceived += (_, _) => { }; // drained, so that it never blocks
        _process.ErrorDataReceived += (_, line) =>
        {
            said.AppendLine(line.Data);
            if (line.Data is null)
            {
                address.TrySetException(new InvalidOperationException($"Chromium did not start:\n{said}"));
            }
            else if (Listening().Match(line.Data) is { Success: true } match)
            {
                address.TrySetResult(match.Groups[1].Value);
            }
        };
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await _socket.ConnectAsync(new Uri(await address.Task.WaitAsync(_limit.Token)), _limit.Token);
        JsonNode target = await SendAsync("Target.createTarget", new { url = "about:blank" }, session: null);
        JsonNode attached = await SendAsync(
            "Target.attachToTarget", new { targetId = target["targetId"]!.GetValue<string>(), flatten = true }, session: null);
        _session = attached["sessionId"]!.GetValue<string>();
        foreach (string domain in new[] { "Page", "Runtime", "Log", "Network", "Audits" })
        {
            await CallAsync(domain + ".enable");
        }
    }

    private async Task<JsonNode> SendAsync(string method, object? parameters, string? session)
    {
        int id = ++_calls;
        var message =
            new JsonObject { ["id"] = id, ["method"] = method, ["params"] = JsonSerializer.SerializeToNode(parameters ?? new { }) };
        if (session is not null)
        {
            message["sessionId"] = session;
        }

        await _socket.SendAsync(
            Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, endOfMessage: true, _limit.Token);
        while (true)
        {
            JsonObject answer = await ReceiveAsync();
            if (answer["id"]?.GetValue<int>() == id)
            {
                return answer["result"] ?? throw new InvalidOperationException($"{method}: {answer["error"]?.ToJsonString()}");
            }
        }
    }

    private async Task<JsonObject> ReceiveAsync()
    {
        using var text = new MemoryStream();
        var buffer = new byte[1 << 16];
        ValueWebSocketReceiveResult part;
        do
        {
            part = await _socket.ReceiveAsync(buffer.AsMemory(), _limit.Token);
            text.Write(buffer, 0, part.Count);
        }
        while (!part.EndOfMessage);
        JsonObject message = JsonNode.Parse(Encoding.UTF8.GetString(text.GetBuffer(), 0, (int)text.Length))!.AsObject();
        if (message["method"] is not null)
        {
            _events.Add(message);
        }

        return message;
    }

    [GeneratedRegex("^DevTools listening on (ws://.*)$")]
    private static partial Regex Listening();
}

/// <summary>A fact that needs a Chromium, and says so where there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ChromiumFactAttribute : FactAttribute
{
    public ChromiumFactAttribute()
    {
        if (Chromium.Program is null)
        {
            Skip = "No Chromium is installed here (on Debian: apt-get install chromium).";
        }
    }
}
