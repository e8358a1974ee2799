using System.Collections.Frozen;

namespace Grpo.Rewards.Answers;

/// <summary>
/// The words that decide whether a phrase after a number is a unit. All lists except the one-letter symbols are in lower case.
/// </summary>
/// <remarks>
/// The first word stands next to the number. A word of one or two letters is a unit only if a list of units has it. A longer word is a unit
/// unless a list of scales, parts or doubts has it.
/// </remarks>
internal static class UnitWords
{
    private static readonly string[] NotIllions = ["pavilion", "pillion"];

    // Symbols of one letter depend on case: 5 m is a length, 5 M is five million.
    private static readonly FrozenSet<string> OneLetter = Set("m g s h l L A V W J N Ω Ω");

    private static readonly FrozenSet<string> TwoLetters = Set(
        "mm cm dm km nm µm in ft yd mi", "mg kg µg ug lb oz", "ml cl dl kl hl µl pt qt", "sq cu ha ac", "hr ms ns µs wk mo yr am pm bc ad",
        "hz kw kv kj mw ma hp db cc", "kb mb gb tb", "pc pp px ea rs kr us fl pa zł");

    private static readonly FrozenSet<string> Connectives = Set("of in on at to by as is it he we my up go so do if an be me");

    private static readonly FrozenSet<string> Cardinals = Set(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen",
        "nineteen twenty thirty forty fifty sixty seventy eighty ninety point");

    // These change the number wherever they stand in the phrase: "42 US$ million".
    private static readonly FrozenSet<string> Multipliers = Set(
        "k bn mn tn cr hundred hundreds thousand thousands myriad myriads lakh lakhs lac lacs crore crores dozen dozens doz mio",
        "mln bln tln trn mrd",
        "googol permille permil promille tausend mille mila tusen duizend milliard milliards milliarde milliarden miljoen",
        "miljard miljon milyon",
        "milyar millon millón millones milhao milhão milhoes milhões",
        "half halves thirds fourths fifths sixths sevenths eighths ninths tenths ths elevenths twelfths sixteenths twentieths",
        "hundredths thousandths",
        "milion milions milione milioni mld mlrd blns mlns mios mrds trl tsd thsd bilion bilhão bilhões billones hundert cento cien ciento",
        "honderd hundra tusind tisíc tysiąc tysięcy dutzend dutzende douzaine douzaines docena docenas dozijn ppm ppb ppt bps",
        "nth nths hex hexadecimal octal binary squared cubed factorial doubled tripled quadrupled halved plus minus multiplied divided");

    // These change the number only next to it: "1 third" but not "8 apples in the third box", "5 quarters" but not "8 cents a quarter".
    private static readonly FrozenSet<string> MultipliersAtNumber = Set(
        "b t thou grand score scores gross mil bil tril mega giga tera milli micro nano",
        "third quarter quarters fourth fifth sixth seventh eighth ninth tenth eleventh twelfth sixteenth twentieth hundredth",
        "thousandth",
        "ones twos threes fours fives sixes sevens eights nines tens twenties thirties forties fifties",
        "twice thrice mod modulo sqrt sin cos pi tau phi theta xyz abc kilo quad arab basis base");

    private static readonly FrozenSet<string> Doubts = Set(
        "or not maybe perhaps possibly probably approximately approx roughly nearly almost estimated est least most unless versus",
        "undefined unknown nan infinity infinite repeating recurring ish upwards upward");

    // These cast doubt next to the number or at the end: "18 max", "18 is wrong". But "18 wrong answers" is a count.
    private static readonly FrozenSet<string> LastDoubts = Set("wrong incorrect untrue false odd about around");

    private static readonly FrozenSet<string> DoubtsAtNumber = Set("max maximum minimum about around");

    // These follow "and" if the amount continues: "3 hours and a quarter", "3 dollars and change".
    private static readonly FrozenSet<string> Additions = Set("a an change some half");

    private static readonly FrozenSet<string> ScalesOfCodes = Set("k m mm mn bn b t tn mio mrd");

    private static readonly FrozenSet<string> DoubtsBefore = Set(
        "about around circa under than negative never cannot neither nor exceeds exceed wrong times double triple");

    // These may stand between a doubt and its number: "not exactly", "not equal to", "about the".
    private static readonly FrozenSet<string> Fillers = Set("equal equals to and exactly quite just really be the actually precisely");

    private static readonly FrozenSet<string> WithPowers = Set(
        "m mm cm dm km in ft yd mi s hr h min sec g kg l µm inch inches foot feet yard yards mile miles meter meters",
        "metre metres second seconds hour hours centimeter centimeters centimetre centimetres millimeter millimeters",
        "millimetre millimetres kilometer kilometers kilometre kilometres unit units");

    private static readonly FrozenSet<string> Directions = Set(
        "long longer tall taller wide wider deep deeper high higher away apart from per each every left total more less",
        "further above below ahead behind around across before after");

    private static readonly FrozenSet<string> CurrencyCodes = Set(
        "usd eur gbp jpy inr cny rmb cad aud nzd chf sek nok dkk pln zar mxn brl sgd hkd rs kr");

    private static readonly FrozenSet<string> CountriesOfDollars = Set("us a c ca au nz hk s r");

    /// <summary>True if the first word of a phrase, the one next to the number, can be a unit or begin one.</summary>
    /// <param name="word">The word as it was written, without dots.</param>
    /// <param name="glued">True if nothing separates it from the number, as in "5in" but not in "5 in all".</param>
    /// <param name="last">True if no word follows.</param>
    public static bool CanBeFirst(string word, bool glued, bool last)
    {
        string lower = word.ToLowerInvariant();
        return word.Length switch
        {
            1 => OneLetter.Contains(word) || (word == "a" && !glued && !last),
            2 => word != "MM" && (TwoLetters.Contains(lower) || (!glued && Connectives.Contains(lower))),
            _ => lower != "and" && !MultipliersAtNumber.Contains(lower) && !DoubtsAtNumber.Contains(lower)
                && CanFollow(word, before: "", last),
        };
    }

    /// <summary>True if a further word can stand in a unit phrase.</summary>
    /// <param name="word">The word as it was written, without dots.</param>
    /// <param name="before">The word before it, in lower case.</param>
    /// <param name="last">True if no word follows.</param>
    public static bool CanFollow(string word, string before, bool last)
    {
        string lower = word.ToLowerInvariant();
        return word.Length == 1
            ? (lower == "a" && !last && before != "and") || OneLetter.Contains(word) || (char.IsUpper(word[0]) && IsLabeled(before))
            : !IsScale(lower) && !Cardinals.Contains(lower) && !Doubts.Contains(lower) && !IsNegation(lower)
                && !(last && LastDoubts.Contains(lower)) && !(before == "and" && Additions.Contains(lower))
                && !(before == "at" && lower == "best");
    }

    /// <summary>True if this word next to a number changes the number: a scale, a part or a calculation.</summary>
    /// <param name="lower">The word in lower case.</param>
    public static bool Multiplies(string lower) => MultipliersAtNumber.Contains(lower) || IsScale(lower);

    private static bool IsScale(string lower) =>
        Multipliers.Contains(lower) || IsIllion(lower) || IsFold(lower) || IsPluralCardinal(lower) || IsScaledCode(lower);

    // True for fold, tenfold and thousandfold, but not for scaffold.
    private static bool IsFold(string lower) => lower.EndsWith("fold", StringComparison.Ordinal)
        && (lower.Length == 4 || Cardinals.Contains(lower[..^4]) || Multipliers.Contains(lower[..^4]));

    // True for twelves, halfs and grosses. "Ones" may be things.
    private static bool IsPluralCardinal(string lower) =>
        lower is "halfs" or "grosses" or "twelves"
            || (lower.Length > 4 && lower[^1] == 's' && lower.EndsWith("teens", StringComparison.Ordinal)
                && Cardinals.Contains(lower[..^1]));

    // True for MUSD, kEUR and USDm: a scale joined to a currency code.
    private static bool IsScaledCode(string lower) => lower.Length > 3
        && ((CurrencyCodes.Contains(lower[..3]) && ScalesOfCodes.Contains(lower[3..]))
            || (CurrencyCodes.Contains(lower[^3..]) && ScalesOfCodes.Contains(lower[..^3])));

    // True if a letter names something: "36 students in class C", "5 units to B". After a currency it would be a scale.
    private static bool IsLabeled(string before) =>
        (before.Length > 2 && !IsCurrencyCode(before) && before != "dollars") || Connectives.Contains(before);

    /// <summary>True if a word before a number expresses a doubt, a bound or a negation.</summary>
    public static bool IsDoubtBefore(string lower) => Doubts.Contains(lower) || DoubtsBefore.Contains(lower) || IsNegation(lower);

    /// <summary>True for words that may stand between a doubt and its number.</summary>
    public static bool IsFiller(string lower) => Fillers.Contains(lower);

    // True for isn't, doesn't and can't.
    private static bool IsNegation(string lower) => lower.Replace('’', '\'').EndsWith("n't", StringComparison.Ordinal);

    public static bool IsCardinal(string lower) => Cardinals.Contains(lower);

    /// <summary>True if a square or a cube of this unit is a unit: cm², s^2.</summary>
    public static bool TakesPowers(string lower) => WithPowers.Contains(lower);

    public static bool IsCurrencyCode(string lower) => CurrencyCodes.Contains(lower);

    /// <summary>True for a country code that may stand before a dollar sign, as in US$.</summary>
    public static bool IsCountryOfDollars(string lower) => CountriesOfDollars.Contains(lower);

    /// <summary>
    /// True for words that can follow a length, such as a direction or another symbol. "5 m" before them is not a million.
    /// </summary>
    public static bool FollowsLength(string lower) =>
        Connectives.Contains(lower) || OneLetter.Contains(lower) || TwoLetters.Contains(lower) || Directions.Contains(lower);

    // True for million, billions, zillionth and all other words of this form.
    private static bool IsIllion(string lower)
    {
        string stem = lower.EndsWith("en", StringComparison.Ordinal) ? lower[..^2] : lower.TrimEnd('s');
        stem = stem.EndsWith("th", StringComparison.Ordinal) ? stem[..^2] : stem;
        return stem.EndsWith("illion", StringComparison.Ordinal) && !NotIllions.Contains(stem);
    }

    private static FrozenSet<string> Set(params string[] lines) =>
        lines.SelectMany(line => line.Split(' ')).ToFrozenSet(StringComparer.Ordinal);
}
