using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Jinja;
using Grpo.Models.Qwen.Text;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests.Golden;

/// <summary>The shared cases of one chat template.</summary>
internal sealed class TemplateCases : IDisposable
{
    private readonly JsonDocument _json;
    private readonly string _text;

    private TemplateCases(JsonDocument json, string text)
    {
        _json = json;
        _text = text;
    }

    public IEnumerable<JsonElement> All => _json.RootElement.GetProperty("cases").EnumerateArray();

    public static TemplateCases Load(string name)
    {
        string folder = SharedData.Path("golden", "families", "templates");
        return new TemplateCases(
            JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, name + ".json"))),
            File.ReadAllText(Path.Combine(folder, name + ".jinja"), Encoding.UTF8));
    }

    /// <summary>Renders the messages as they are in the file.</summary>
    public RenderedText Render(JsonElement entry)
    {
        List<KeyValuePair<string, object?>> variables =
        [
            .. _json.RootElement.GetProperty("special_tokens").EnumerateObject()
                .Select(token => KeyValuePair.Create(token.Name, JsonValues.From(token.Value))),
            new("messages", JsonValues.From(entry.GetProperty("messages"))),
            new("documents", null),
            new("tools", entry.GetProperty("tools").ValueKind == JsonValueKind.Null
                ? null
                : new JinjaList([.. Tools(entry).Select(JsonValues.From)])),
            new("add_generation_prompt", entry.GetProperty("add_generation_prompt").GetBoolean()),
        ];
        if (entry.TryGetProperty("enable_thinking", out JsonElement thinking))
        {
            variables.Add(new("enable_thinking", JsonValues.From(thinking)));
        }

        return JinjaTemplate.Parse(_text).Render(variables);
    }

    /// <summary>The template with the arguments of a case.</summary>
    public JinjaChatTemplate Template(JsonElement entry) => new(_text, options: new ChatTemplateOptions
    {
        EnableThinking = entry.TryGetProperty("enable_thinking", out JsonElement thinking) && thinking.ValueKind != JsonValueKind.Null
            ? thinking.GetBoolean()
            : null,
        SpecialTokens = _json.RootElement.GetProperty("special_tokens").EnumerateObject()
            .ToDictionary(token => token.Name, token => token.Value.GetString()!),
    });

    /// <summary>The tools that a case names, as JSON.</summary>
    public IEnumerable<JsonElement> Tools(JsonElement entry) => entry.GetProperty("tools").ValueKind == JsonValueKind.Null
        ? []
        : entry.GetProperty("tools").EnumerateArray().Select(name => _json.RootElement.GetProperty("tools").GetProperty(name.GetString()!));

    /// <summary>Qwen2.5's vocabulary with the added tokens of a set.</summary>
    public static QwenTokenizer Tokenizer(JsonElement root, string set)
    {
        string[] plain = [.. root.GetProperty("not_special").EnumerateArray().Select(token => token.GetString()!)];
        var decoder = new JsonObject();
        foreach (JsonProperty token in root.GetProperty("added_tokens").GetProperty(set).EnumerateObject())
        {
            decoder[token.Value.GetRawText()] = new JsonObject { ["content"] = token.Name, ["special"] = !plain.Contains(token.Name) };
        }

        byte[] Read(string name) => File.ReadAllBytes(SharedData.Path("data", "qwen2.5-tokenizer", name));
        return QwenTokenizer.Create(new TokenizerFiles(set, new Dictionary<string, byte[]>
        {
            ["vocab.json"] = Read("vocab.json"),
            ["merges.txt"] = Read("merges.txt"),
            ["tokenizer_config.json"] = Encoding.UTF8.GetBytes(new JsonObject { ["added_tokens_decoder"] = decoder }.ToJsonString()),
        }));
    }

    /// <summary>1 for each token that lies inside a span. Positions count the code points of the text before a token.</summary>
    public static IEnumerable<int> Mask(QwenTokenizer tokenizer, IReadOnlyList<int> ids, RenderedText rendered)
    {
        for (int i = 0; i < ids.Count; i++)
        {
            int start = tokenizer.Decode([.. ids.Take(i)], skipSpecialTokens: false).EnumerateRunes().Count();
            yield return rendered.AssistantSpans.Any(span => span.Start <= start && start < span.End) ? 1 : 0;
        }
    }

    public void Dispose() => _json.Dispose();
}
