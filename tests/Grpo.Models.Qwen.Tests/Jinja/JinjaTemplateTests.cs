using System.Text.Json;
using Grpo.Models.Qwen.Jinja;

namespace Grpo.Models.Qwen.Tests.Jinja;

/// <summary>Behavior beyond the cases of jinja2: refusals with their place, bounds, the clock and the spans of generations.</summary>
public sealed class JinjaTemplateTests
{
    [Theory]
    [InlineData("a\n{% include 'x' %}", "line 2, column 4: the statement 'include' is not supported. Supported are if, for,")]
    [InlineData("{{ x | wordwrap }}", "line 1, column 8: the filter 'wordwrap' is not supported. Supported are abs,")]
    [InlineData("{{ x is fancy }}", "line 1, column 9: the test 'fancy' is not supported. Supported are boolean,")]
    [InlineData("{{ 'a'.encode() }}", "line 1, column 7: the method 'encode' of a text is not supported.")]
    [InlineData("{% for x in y recursive %}{% endfor %}", "line 1, column 15: a 'recursive' loop is not supported.")]
    [InlineData("{{ x | map('wordwrap') }}", "line 1, column 12: the filter 'wordwrap' is not supported.")]
    [InlineData("{{ '\\N{BULLET}' }}", "line 1, column 4: the escape \\N{…} is not supported.")]
    [InlineData("{% if x %}\n\n", "'{% endif %}' is missing for the statement in line 1.")]
    [InlineData("{{ 0x10 }}", "line 1, column 4: binary, octal and hexadecimal numbers are not supported.")]
    [InlineData("{% macro m() %}{{ varargs }}{% endmacro %}", "the macro 'm' uses 'varargs' or 'kwargs', which are not supported.")]
    public void Parse_names_the_place_of_what_it_does_not_know(string template, string message) =>
        ErrorAssert.Says<ChatTemplateException>(message, () => JinjaTemplate.Parse(template));

    [Theory]
    [InlineData("{{ 'x' * 999999999999 }}", "creates more than")]
    [InlineData("{% set r = range(5000)|list %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}", "takes more than 1000000 steps")]
    [InlineData("{{ range(9999999999) }}", "a range has more than 100000 numbers")]
    [InlineData("{{ 9 ** 99999999 }}", "more than 4300 digits")]
    [InlineData("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested more than 1000 deep")]
    [InlineData("{% set ns = namespace() %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}", "nested more than")]
    [InlineData("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "nested more than 1000 deep")]
    [InlineData("{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|tojson }}", "more than")]
    [InlineData("{{ 'ab'.replace('', 'x' * 9999999)|replace('', 'x' * 9999999) }}", "creates more than")]
    [InlineData("{{ '%9999999d' % 1 }}", "a width of more than six digits")]
    [InlineData("{{ 'a'.center(999999999) }}", "creates more than")]
    [InlineData("{{ [1]|tojson(indent=999999999) }}", "creates more than")]
    public void Render_stops_at_its_bounds(string template, string message) =>
        ErrorAssert.Says<ChatTemplateException>(
            message, () => JinjaTemplate.Parse(template, new JinjaLimits { Steps = 1_000_000 }).Render([]));

    // Each would take minutes or gigabytes if the work inside one operation did not count.
    [Theory]
    [InlineData("{% set a = 7**5000 %}{% for i in r %}{% for j in r %}{% set b = a//3*2 %}{% endfor %}{% endfor %}", "creates more than")]
    [InlineData("{% for i in r %}{% for j in r %}{% set b = 2 ** 14000 % 3 ** 8000 %}{% endfor %}{% endfor %}", "takes more than")]
    [InlineData("{% set a = 9 ** 4000 %}{% for i in r %}{% set b = range(a, a + 99999)|list %}{% endfor %}", "creates more than")]
    public void Render_counts_the_work_inside_an_operation(string template, string message) =>
        ErrorAssert.Says<ChatTemplateException>(message, () => Render("{% set r = range(9999) %}" + template));

    // Without a count of the work inside, each would take minutes: the million steps allow a few of these operations.
    [Theory]
    [InlineData("{% set b = 'ab' * 1000000 %}{{ 'q'.strip(b) }}", "creates more than")]
    [InlineData("{% set b = 'ab' * 1000000 %}{{ 'q'|trim(b) }}", "creates more than")]
    [InlineData("{% set l = [''] * 500000 %}{% for i in r %}{{ l|join }}{% endfor %}", "takes more than")]
    [InlineData("{% set l = [''] * 500000 %}{% for i in r %}{{ ''.join(l) }}{% endfor %}", "takes more than")]
    [InlineData("{% set t = ('b',) * 500000 %}{% for i in r %}{{ 'a'.startswith(t) }}{% endfor %}", "takes more than")]
    [InlineData("{% set t = (1,) * 500000 %}{% for i in r %}{{ t in {} }}{% endfor %}", "takes more than")]
    [InlineData("{% set t = (1,) * 500000 %}{% for i in r %}{{ {}[t] }}{% endfor %}", "takes more than")]
    [InlineData("{% set t = (1,) * 500000 %}{% set d = {t: 1} %}{% for i in r %}{{ d == d }}{% endfor %}", "takes more than")]
    [InlineData("{% set k = 'a' * 9000000 %}{% set d = {k: ''} %}{% for i in r %}{{ d[k] }}{% endfor %}", "takes more than")]
    [InlineData("{% set k = 'a' * 9000000 %}{% set d = {k: ''} %}{% for i in r %}{% set e = dict(d) %}{% endfor %}", "takes more than")]
    [InlineData("{{ t.find(p) }}", "takes more than")]
    [InlineData("{{ t.rfind(p) }}", "takes more than")]
    [InlineData("{{ p in t }}", "takes more than")]
    [InlineData("{{ t.count(p) }}", "takes more than")]
    [InlineData("{{ t.replace(p, '') }}", "takes more than")]
    [InlineData("{{ t|replace(p, '') }}", "takes more than")]
    [InlineData("{{ t.split(p) }}", "takes more than")]
    [InlineData("{{ t.rsplit(p) }}", "takes more than")]
    [InlineData("{{ t.partition(p) }}", "takes more than")]
    public void Render_counts_the_characters_and_items_it_reads(string template, string message) => ErrorAssert.Says<ChatTemplateException>(
        message,
        () => JinjaTemplate.Parse(
            "{% set r = range(9999) %}{% set t = 'a' * 4000000 %}{% set p = 'a' * 1000000 + 'b' %}" + template,
            new JinjaLimits { Steps = 1_000_000 }).Render([]));

    [Fact]
    public void Render_has_room_for_a_long_conversation()
    {
        // A question takes 12 + 4 + 1 + 1,999 + 10 + 1 characters, and an answer 12 + 9 + 1 + 899 + 10 + 1 without its thoughts.
        const string Template =
            "{% for m in messages if m.role != 'system' %}{% set c = m.content %}{% if '</think>' in c %}"
            + "{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
            + "{{ '<|im_start|>' + m.role + '\\n' + c|trim + '<|im_end|>' }}\n{% endfor %}";
        string question = string.Concat(Enumerable.Repeat("Why? ", 400));
        string answer = "<think>" + new string('-', 5000) + "</think>\n\n" + string.Concat(Enumerable.Repeat("Because. ", 100));
        JsonElement variables = JsonSerializer.SerializeToElement(new
        {
            messages = Enumerable.Range(0, 2000).Select(i => i % 2 == 0
                ? new { role = "user", content = question } : new { role = "assistant", content = answer }),
        });
        object? messages = JsonValues.From(variables.GetProperty("messages"));
        Assert.Equal(1000 * (2027 + 932), JinjaTemplate.Parse(Template).Render([new("messages", messages)]).Text.Length);
    }

    [Fact]
    public void Parse_stops_at_its_bounds()
    {
        string deep = new string('(', 5000) + "1" + new string(')', 5000);
        ErrorAssert.Says<ChatTemplateException>("nested more than 150 deep", () => JinjaTemplate.Parse("{{ " + deep + " }}"));
        string blocks = string.Concat(Enumerable.Repeat("{% if 1 %}", 5000));
        ErrorAssert.Says<ChatTemplateException>("nested more than 150 deep", () => JinjaTemplate.Parse(blocks));
        string chain = string.Join(" + ", Enumerable.Repeat("1", 20_000));
        ErrorAssert.Says<ChatTemplateException>("nested more than 1000 deep", () => Render("{{ " + chain + " }}"));
        ErrorAssert.Says<ChatTemplateException>("1048576 are allowed", () => JinjaTemplate.Parse(new string('x', 1_048_577)));
    }

    [Fact]
    public void Strftime_now_takes_the_clock_that_it_is_given()
    {
        var clock = new FixedClock(new DateTimeOffset(2024, 7, 6, 15, 4, 5, TimeSpan.Zero));
        Assert.Equal(
            "06 Jul 2024, Saturday 03:04:05 PM, 6.7.24 188 %",
            JinjaTemplate.Parse("{{ strftime_now('%d %b %Y, %A %I:%M:%S %p, %-d.%-m.%y %j %%') }}").Render([], clock).Text);
        ErrorAssert.Says<ChatTemplateException>("the date format '%U' is not supported", () => Render("{{ strftime_now('%U') }}"));
    }

    [Fact]
    public void Generation_marks_its_text_in_code_points()
    {
        // "😀é" has two code points and three code units: the span starts at 2 and ends at 4.
        RenderedText rendered = JinjaTemplate.Parse(
            "😀é{% generation %}😀{{ 1 }}{% endgeneration %}x{% generation %}{% endgeneration %}").Render([]);
        Assert.Equal("😀é😀1x", rendered.Text);
        Assert.Equal([(2, 4), (5, 5)], rendered.AssistantSpans);
    }

    [Fact]
    public void Raise_exception_says_what_the_template_says() => ErrorAssert.Says<ChatTemplateException>(
        "line 1, column 19: the template refuses the conversation: Only user and assistant!",
        () => Render("{{ raise_exception('Only user and assistant!') }}"));

    private static string Render(string template) => JinjaTemplate.Parse(template).Render([]).Text;

    private sealed class FixedClock(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;

        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;
    }
}
