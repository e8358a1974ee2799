using System.Text.Json;
using Grpo.Models.Qwen.Jinja;

namespace Grpo.Models.Qwen.Tests.Jinja;

/// <summary>Small templates whose text was printed by jinja2 3.1.6, in the environment of transformers.</summary>
public sealed class JinjaCasesTests
{
    [Fact]
    public void Render_prints_what_jinja2_prints()
    {
        using JsonDocument json = JsonDocument.Parse(
            File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Jinja", "jinja-cases.json")));
        var variables = (JinjaDict)JsonValues.From(json.RootElement.GetProperty("variables"))!;
        var different = new List<string>();
        int count = 0;
        foreach (JsonElement entry in json.RootElement.GetProperty("cases").EnumerateArray())
        {
            string template = entry.GetProperty("template").GetString()!, actual;
            string expected = entry.TryGetProperty("text", out JsonElement text) ? text.GetString()! : "fails";
            try
            {
                actual = JinjaTemplate.Parse(template)
                    .Render(variables.Items.Select(pair => KeyValuePair.Create((string)pair.Key!, pair.Value))).Text;
            }
            catch (ChatTemplateException)
            {
                actual = "fails";
            }

            count++;
            if (actual != expected)
            {
                different.Add($"{template}\n  expected {expected}\n  actual   {actual}");
            }
        }

        Assert.True(different.Count == 0, string.Join('\n', different));
        Assert.True(count > 600, $"Only {count} cases were read.");
    }
}
