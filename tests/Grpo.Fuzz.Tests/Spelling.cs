using System.Text.RegularExpressions;

namespace Grpo.Fuzz.Tests;

/// <summary>British words with their American spelling.</summary>
internal static partial class Spelling
{
    // normalis|e becomes normaliz|e, with each of the endings.
    private const string Ise =
        """
        alphabetis amortis anonymis apologis atomis authoris binaris canonicalis capitalis categoris centralis characteris criticis
        crystallis customis dematerialis diagonalis digitis discretis emphasis equalis externalis factoris finalis formalis generalis
        harmonis hypothesis idealis initialis internalis itemis jeopardis legalis linearis localis materialis maximis memoris minimis
        mobilis modernis neutralis normalis optimis organis parallelis parameteris parametris penalis personalis polaris popularis
        prioritis quantis randomis rationalis realis recognis regularis revolutionis sanitis scrutinis serialis specialis stabilis
        standardis summaris symbolis synchronis synthesis systematis tokenis utilis vectoris virtualis visualis
        """;

    private const string IseEndings = "e es ed er ers ing ings able ably ation ations ational";

    // analys|e becomes analyz|e. "Analyses" is the plural of "analysis" too, and stays.
    private const string Yse = "analys catalys dialys electrolys hydrolys paralys";
    private const string YseEndings = "e ed er ers ing able";

    // colour|s becomes color|s. "Glamour" keeps its u in America.
    private const string Our =
        """
        arbour armour behaviour candour clamour colour demeanour endeavour favour fervour flavour harbour honour humour labour neighbour
        odour parlour rancour rigour rumour saviour savour splendour succour tumour valour vapour vigour
        """;

    private const string OurEndings = "- s ed er ers ing ings able ably al ally ful fully hood hoods ist ite ites less ly y";

    // cancell|ed becomes cancel|ed; "cancellation" keeps both.
    private const string Ell =
        """
        barrell bevell cancell channell chisell counsell diall equall fuell funnell initiall labell levell libell marshall marvell modell
        panell pedall pencill quarrell rivall shovell shrivell signall snivell spirall swivell totall towell travell triall tunnell
        """;

    private const string EllEndings = "ed er ers ing ings able";

    // One by one.
    private const string Words =
        """
        acknowledgement:acknowledgment acknowledgements:acknowledgments aeroplane:airplane afterwards:afterward ageing:aging
        aluminium:aluminum amongst:among annexe:annex artefact:artifact artefacts:artifacts burnt:burned calibre:caliber catalogue:catalog
        catalogued:cataloged catalogues:catalogs centimetre:centimeter centimetres:centimeters centre:center centred:centered
        centres:centers centring:centering cheque:check cheques:checks connexion:connection cosy:cozy defence:defense defences:defenses
        draught:draft dreamt:dreamed encyclopaedia:encyclopedia enquire:inquire enquiries:inquiries enquiry:inquiry enrol:enroll
        enrolment:enrollment fibre:fiber fibres:fibers fulfil:fulfill fulfilment:fulfillment fulfils:fulfills gramme:gram grammes:grams
        grey:gray greyed:grayed greys:grays greyscale:grayscale instalment:installment instalments:installments jewellery:jewelry
        judgement:judgment judgements:judgments kerb:curb kilometre:kilometer kilometres:kilometers leapt:leaped learnt:learned
        licence:license licenced:licensed licences:licenses litre:liter litres:liters lustre:luster manoeuvre:maneuver
        manoeuvres:maneuvers maths:math meagre:meager metre:meter metres:meters millimetre:millimeter millimetres:millimeters
        misspelt:misspelled mould:mold moulds:molds moveable:movable offence:offense offences:offenses orientated:oriented plough:plow
        practise:practice practised:practiced practising:practicing pretence:pretense programme:program programmes:programs
        pyjamas:pajamas sceptic:skeptic sceptical:skeptical scepticism:skepticism sceptics:skeptics sizeable:sizable skilful:skillful
        skilfully:skillfully speciality:specialty spelt:spelled spoilt:spoiled storey:story sulphur:sulfur theatre:theater
        theatres:theaters towards:toward tyre:tire tyres:tires useable:usable whilst:while wilful:willful wilfully:willfully
        """;

    private const string Prefixes = "ab de dis mis multi non out over pre re un under";

    private static readonly Dictionary<string, string> American = Table();

    /// <summary>Finds the American spelling of a word, which may carry a prefix: "mislabelled".</summary>
    /// <param name="word">One word, in any case.</param>
    /// <returns>The American spelling in lower case, or null if the word is not a British one.</returns>
    public static string? Correct(string word)
    {
        string lower = word.ToLowerInvariant();
        if (American.TryGetValue(lower, out string? correct))
        {
            return correct;
        }

        foreach (string prefix in Split(Prefixes).Where(prefix => lower.StartsWith(prefix, StringComparison.Ordinal)))
        {
            if (American.TryGetValue(lower[prefix.Length..], out correct))
            {
                return prefix + correct;
            }
        }

        return null;
    }

    /// <summary>Lists the British words of a line, those inside identifiers included: "IsCancelled" holds "Cancelled".</summary>
    public static IEnumerable<string> British(string line) =>
        Word().Matches(line).Select(match => match.Value).Where(word => Correct(word) is not null);

    private static Dictionary<string, string> Table()
    {
        var table = new Dictionary<string, string>(StringComparer.Ordinal);
        Add(Ise, IseEndings, stem => stem[..^1] + "z");
        Add(Yse, YseEndings, stem => stem[..^1] + "z");
        Add(Our, OurEndings, stem => stem[..^2] + "r");
        Add(Ell, EllEndings, stem => stem[..^1]);
        foreach (string[] pair in Split(Words).Select(pair => pair.Split(':')))
        {
            table.Add(pair[0], pair[1]);
        }

        return table;

        void Add(string stems, string endings, Func<string, string> american)
        {
            foreach (string stem in Split(stems))
            {
                foreach (string ending in Split(endings).Select(ending => ending.TrimStart('-')))
                {
                    table.Add(stem + ending, american(stem) + ending);
                }
            }
        }
    }

    private static string[] Split(string words) => words.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    // The words of camelCase and of ABBRWord, one by one.
    [GeneratedRegex(@"\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+")]
    private static partial Regex Word();
}
