using System.Text.Json;
using Grpo.Models.Qwen.Jinja;

namespace Grpo.Fuzz.Tests;

/// <summary>The interpreter of chat templates.</summary>
internal static class TemplateTargets
{
    private const string Variables =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"2+2? \\u00e9 \\ud83d\\ude00\"},"
        + "{\"role\":\"assistant\",\"content\":\"<think>\\n4\\n</think>\\n\\n4\",\"tool_calls\":[{\"function\":{\"name\":\"add\","
        + "\"arguments\":{\"a\":1.0,\"b\":[2,null,true]}}}]},{\"role\":\"tool\",\"content\":\"4\"}],"
        + "\"tools\":[{\"function\":{\"name\":\"add\",\"parameters\":{}}}],\"add_generation_prompt\":true,\"x\":12345678901234567890}";

    private const string Thinking =
        "{%- set ns = namespace(last=messages|length - 1, seen=false) %}{% for message in messages[::-1] %}\n"
        + "  {%- set index = (messages|length - 1) - loop.index0 %}\n"
        + "  {%- if not ns.seen and message.role == \"user\" and not message.content.startswith('<t>') %}{% set ns.seen = true %}"
        + "{% set ns.last = index %}{% endif %}\n{%- endfor %}{% for message in messages %}{% set content = message.content or '' %}"
        + "{% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
        + "{{ '<|im_start|>' + message.role + '\\n' + content|trim ~ loop.index0 }}{% if message.tool_calls %}"
        + "{% for call in message.tool_calls %}{{ call.function.arguments | tojson(indent=2) }}{% endfor %}{% endif %}{{ '<|im_end|>' }}"
        + "{% else %}{{ raise_exception('none') }}{% endfor %}{% if add_generation_prompt %}<think>{% endif %}";

    private const string Macros =
        "{%- macro type(spec, depth=0) -%}{% if spec is string %}{{ spec|upper }}{% elif spec is mapping and depth < 5 %}"
        + "{% for k, v in spec|dictsort %}{{ k }}={{ type(v, depth + 1) }}{{ \", \" if not loop.last }}{% endfor %}"
        + "{% elif spec is iterable %}[{% for s in spec %}{{ type(s, depth=depth + 1) }}{% endfor %}]{% else %}{{ spec }}{% endif %}"
        + "{%- endmacro -%}{{ type(tools) }}";

    private const string Everything =
        "{# c #}{% raw %}{{ x }}{% endraw %}{% set a, b = 1, [2, (3,), {'k': 4.5e3}] %}{% set t | trim %} q {% endset %}"
        + "{% with y = x // 7 %}{{ y % 5 - 2 ** 3 / 4 }}{% endwith %}{% filter replace('a', 'b')|title %}banana{% endfilter %}"
        + "{% for m in messages if m.role is not none %}{% if loop.first %}{% continue %}{% endif %}{% generation %}{{ m.role[1:-1] }}"
        + "{{ loop.cycle('x', 'y') }}{% endgeneration %}{% if loop.index > 2 %}{% break %}{% endif %}{% endfor %}"
        + "{{ '%s-%05.1f' % (t, 2.25) }}{{ '{:>4}'.format(a) }}{{ messages|map(attribute='role')|join(', ') }}"
        + "{{ messages|selectattr('role', 'in', ['user'])|list|length }}{{ b|tojson }}{{ [3, 1]|sort|first }}{{ x|string|reverse }}"
        + "{{ 'a,b'.split(',')|map('upper')|list }}{{ strftime_now('%d %b %Y') }}{{ 'y' if x is odd else 'n' }}{{ 3.14159|round(2) }}"
        + "{{ 'ab\\ncd'|indent(2, true) }}{{ range(3, 0, -1)|list }}{{ dict(a=1).items() }}{{ missing is defined }}";

    // Smaller than those of a real rendering, so that an input that uses them up takes milliseconds.
    private static readonly JinjaLimits Limits = new() { Steps = 60_000, Size = 1 << 20 };

    public static IEnumerable<FuzzTarget> All()
    {
        yield return new(
            "chat template", 12,
            [.. new[] { Thinking, Macros, Everything }.Select(
                template => new FuzzInput(FuzzPart.Text(template, PartFormat.Template), FuzzPart.Json("variables", Variables)))],
            Render, typeof(NotSupportedException));
    }

    private static void Render(FuzzInput input)
    {
        JinjaTemplate template = JinjaTemplate.Parse(input.Text, Limits);
        using JsonDocument json = Read(input.Parts[1].Bytes);
        KeyValuePair<string, object?>[] variables = JsonValues.From(json.RootElement) is JinjaDict values
            ? [.. values.Items.Select(pair => KeyValuePair.Create((string)pair.Key!, pair.Value))]
            : [];
        RenderedText rendered = template.Render(variables);
        Assert.InRange(rendered.Text.Length, 0, Limits.Size);
        Assert.All(rendered.AssistantSpans, span => Assert.InRange(span.Start, 0, span.End));
    }

    // The variables must be JSON: its reader is not the one that is tested.
    private static JsonDocument Read(byte[] json)
    {
        try
        {
            return JsonDocument.Parse(json);
        }
        catch (JsonException)
        {
            return JsonDocument.Parse(Variables);
        }
    }
}
