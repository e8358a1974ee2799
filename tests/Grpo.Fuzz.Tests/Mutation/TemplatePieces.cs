namespace Grpo.Fuzz.Tests;

/// <summary>The pieces of chat templates that a damaged template gets in wrong places.</summary>
internal static class TemplatePieces
{
    public static readonly string[] All =
    [
        "{{", "}}", "{%", "%}", "{%-", "-%}", "{%+", "{#", "#}", "{{-", "-}}", "'", "\"", "\\", "\\x", "\n", " ", "(", ")", "[", "]", "{",
        "}",
        "|", ".", ",", ":", "=", "==", "~", "+", "-", "*", "**", "/", "//", "%", "<", ">=", "!=", " is ", " not ", " in ", " and ", " or ",
        " if ", " else ", "{% if x %}", "{% elif 1 %}", "{% else %}", "{% endif %}", "{% for x in messages %}", "{% for k, v in m|items %}",
        "{% endfor %}", "{% set x = x ~ x %}", "{% set ns.x = [ns.x, ns.x] %}", "{% set x %}", "{% endset %}", "{% macro m(a, b=2) %}",
        "{% endmacro %}", "{{ m(m) }}", "{% call m() %}", "{% endcall %}", "{{ caller() }}", "{% raw %}", "{% endraw %}", "{% break %}",
        "{% continue %}", "{% generation %}", "{% endgeneration %}", "{% filter upper %}", "{% endfilter %}", "{% with a=1 %}",
        "{% endwith %}", "{% include 'x' %}", "messages", "message", "ns", "loop", "loop.index0", "namespace(a=1)", "range(99999)",
        "'x' * 999999999", "9 ** 9 ** 9", "99999999999999999999999", "1e308", "0.1", "none", "true", "undefined", "|tojson",
        "|tojson(indent=9)",
        "|length", "|list", "|join(',')", "|map('upper')", "|select", "|selectattr('role')", "|sort", "|replace('', 'xx')", "|indent(99)",
        "|int", "|round(300)", "|batch(2)", "|center(99999)", "|default('d')", "|unique", "|dictsort", "|reverse", "|e", ".strip()",
        ".split('')", ".split()", ".items()", ".get('x')", ".format(1)", ".zfill(9999)", "[::-1]", "[1:2]", "[-1]", "['role']", ".role",
        "'%s' % (x,)", "'%99999d' % 1", "'{:>9999}'.format(1)", "raise_exception('no')", "strftime_now('%Y')", "strftime_now('%')",
        "dict(**x)", "*x", "cycler(1, 2)", "joiner()", "\uD83D", "\uDE00", "😀", "e\u0301", "ß", "İ", "\u0000", "\u202E", "\u001b[31m",
    ];
}
