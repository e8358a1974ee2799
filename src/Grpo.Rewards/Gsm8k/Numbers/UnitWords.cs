using System.Collections.Frozen;

namespace Grpo.Rewards;

/// <summary>
/// The words that decide whether a phrase after a number is a unit. Words of one or two letters must be listed to be one; a longer word is one
/// unless it is listed here. All lists are in lower case.
/// </summary>
internal static class UnitWords
{
    private static readonly string[] NotIllions = ["pavilion", "pillion"];

    // Symbols of one letter depend on case: 5 m is a length, 5 M is five million.
    private static readonly FrozenSet<string> OneLetter = FrozenSet.ToFrozenSet(["m", "g", "s", "h", "l", "L"], StringComparer.Ordinal);

    private static readonly FrozenSet<string> TwoLetters = Set(
        "mm cm dm km nm µm in ft yd mi", "mg kg µg ug lb oz", "ml cl dl kl hl µl pt qt", "sq cu ha ac", "hr ms ns µs wk mo yr am pm bc ad",
        "hz kw kv kj mw", "kb mb gb tb", "pc pp px ea rs kr us");

    private static readonly FrozenSet<string> Connectives = Set("of in on at to by as is it he we my up go so do if us an be me");

    private static readonly FrozenSet<string> Cardinals = Set(
        "zero nought nil none one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen",
        "nineteen twenty thirty forty fifty sixty seventy eighty ninety point");

    private static readonly FrozenSet<string> Multipliers = Set(
        // Scales, written out and abbreviated, also those of India and of other European languages; "…illion" is a rule below.
        "k b t bn mn tn cr hundred hundreds thousand thousands thou grand myriad myriads lakh lakhs lac lacs crore crores dozen dozens doz score",
        "scores gross googol mil bil tril mio mln bln tln trn mrd mega giga tera milli micro nano permille permil promille",
        "tausend mille mila tusen duizend milliard milliards milliarde milliarden miljoen miljard miljon milyon milyar millon millón millones",
        "milhao milhão milhoes milhões",
        // Parts
        "half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths ninth ninths tenth",
        "tenths ths eleventh elevenths twelfth twelfths sixteenth sixteenths twentieth twentieths hundredth hundredths thousandth thousandths",
        // Calculations
        "squared cubed factorial double doubled triple tripled quadruple quadrupled halved twice thrice plus minus multiplied divided",
        "mod modulo sqrt sin cos pi xyz abc");

    private static readonly FrozenSet<string> Doubts = Set(
        "or nor not maybe perhaps possibly probably approximately approx roughly nearly almost ish least most unless versus");

    private static readonly FrozenSet<string> WithPowers = Set(
        "m mm cm dm km in ft yd mi s hr h min sec g kg l µm inch inches foot feet yard yards mile miles meter meters metre metres second seconds",
        "hour hours centimeter centimeters centimetre centimetres millimeter millimeters millimetre millimetres kilometer kilometers kilometre",
        "kilometres unit units");

    private static readonly FrozenSet<string> CurrencyCodes = Set(
        "usd eur gbp jpy inr cny rmb cad aud nzd chf sek nok dkk pln zar mxn brl sgd hkd rs us a c ca au nz hk");

    /// <summary>True if the word can stand in a unit phrase.</summary>
    /// <param name="word">The word as it was written, without dots.</param>
    /// <param name="glued">Whether it stands right behind the number: "5in", but "5 in all".</param>
    /// <param name="last">Whether no word follows.</param>
    public static bool IsUnit(string word, bool glued, bool last)
    {
        string lower = word.ToLowerInvariant();
        return word.Length switch
        {
            1 => OneLetter.Contains(word) || (word == "a" && !glued && !last),
            2 => word != "MM" && (TwoLetters.Contains(lower) || (!glued && Connectives.Contains(lower))),
            _ => !Multiplies(lower) && !Cardinals.Contains(lower) && !Doubts.Contains(lower),
        };
    }

    /// <summary>True if a number times this word is another number: a scale, a part, a calculation.</summary>
    /// <param name="lower">The word in lower case.</param>
    public static bool Multiplies(string lower) => Multipliers.Contains(lower) || IsIllion(lower);

    public static bool IsCardinal(string lower) => Cardinals.Contains(lower);

    /// <summary>True if a square or a cube of this unit is a unit: cm², s^2.</summary>
    public static bool TakesPowers(string lower) => WithPowers.Contains(lower);

    public static bool IsCurrencyCode(string lower) => CurrencyCodes.Contains(lower);

    /// <summary>True for the words that can follow a length, so that "5 m" before them is no million: a direction, another symbol.</summary>
    public static bool FollowsLength(string lower) =>
        Connectives.Contains(lower) || OneLetter.Contains(lower) || TwoLetters.Contains(lower) || lower is "long" or "tall" or "wide" or "deep" or "high" or "away" or "apart" or "per" or "each" or "left" or "total";

    // Million, billions, zillionth and so on without an end.
    private static bool IsIllion(string lower)
    {
        string stem = lower.EndsWith("en", StringComparison.Ordinal) ? lower[..^2] : lower.TrimEnd('s');
        stem = stem.EndsWith("th", StringComparison.Ordinal) ? stem[..^2] : stem;
        return stem.EndsWith("illion", StringComparison.Ordinal) && !NotIllions.Contains(stem);
    }

    private static FrozenSet<string> Set(params string[] lines) =>
        lines.SelectMany(line => line.Split(' ')).ToFrozenSet(StringComparer.Ordinal);
}
