using System.Collections.Frozen;

namespace Grpo.Rewards.Answers;

/// <summary>The LaTeX commands that can appear in an answer, grouped by their treatment.</summary>
internal static class LatexCommands
{
    /// <summary>Fonts and frames: the command and its braces are removed, and the argument stays.</summary>
    public static FrozenSet<string> Styles { get; } = Set(
        "boxed fbox mbox hbox text textbf textit textrm textsf texttt textnormal emph underline",
        "mathrm mathbf mathit mathsf mathtt mathnormal operatorname boldsymbol bm pmb num ensuremath");

    /// <summary>Sizes, colors and wide blanks, which leave a gap.</summary>
    public static FrozenSet<string> Gaps { get; } = Set(
        "left right displaystyle textstyle big Big bigl bigr Bigl Bigr quad qquad enspace color textcolor hspace",
        "scriptstyle tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge",
        "rm bf it sf tt sl sc bfseries itshape rmfamily sffamily ttfamily");

    /// <summary>Thin blanks, which separate thousands and become one blank.</summary>
    public static FrozenSet<string> Spaces { get; } = Set("thinspace medspace thickspace nobreakspace space");

    /// <summary>Fractions in all sizes.</summary>
    public static FrozenSet<string> Fractions { get; } = Set("frac dfrac tfrac cfrac");

    /// <summary>Commands that stand for a single sign.</summary>
    public static FrozenDictionary<string, string> Signs { get; } = new Dictionary<string, string>
    {
        ["times"] = "×",
        ["cdot"] = "·",
        ["div"] = "÷",
        ["pm"] = "±",
        ["circ"] = "°",
        ["degree"] = "°",
        ["textdegree"] = "°",
        ["textdollar"] = "$",
        ["pounds"] = "£",
        ["textsterling"] = "£",
        ["euro"] = "€",
        ["texteuro"] = "€",
        ["yen"] = "¥",
        ["textyen"] = "¥",
        ["textcent"] = "¢",
        ["cent"] = "¢",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    private static readonly FrozenSet<string> Inferences = Set(
        "therefore because implies Rightarrow Longrightarrow rightarrow longrightarrow to iff Leftrightarrow Longleftrightarrow leadsto",
        "item noindent par newline centering hfill colon");

    private static readonly FrozenSet<string> Relations = Set("approx neq ne sim simeq cong gt lt geq leq ge le mp");

    /// <summary>True for "therefore", arrows and the beginning of a line. The text before them is a separate thought.</summary>
    public static bool IsInference(string name) => Inferences.Contains(name);

    /// <summary>True for blanks, fonts and currencies. A box after them still holds the whole answer.</summary>
    public static bool MayPrecedeBox(string name) => Styles.Contains(name) || Gaps.Contains(name) || Spaces.Contains(name)
        || (Signs.TryGetValue(name, out string? sign) && NumberUnit.IsCurrency(sign[0]));

    /// <summary>True for comparisons other than equality.</summary>
    public static bool IsRelation(string name) => Relations.Contains(name);

    private static FrozenSet<string> Set(params string[] lines) =>
        lines.SelectMany(line => line.Split(' ')).ToFrozenSet(StringComparer.Ordinal);
}
