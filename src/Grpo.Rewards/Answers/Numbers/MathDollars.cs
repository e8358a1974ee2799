namespace Grpo.Rewards.Answers;

/// <summary>Distinguishes the dollar signs of formulas from those of money.</summary>
internal static class MathDollars
{
    /// <summary>True if dollar signs enclose a formula: two of them, or two pairs. Any other number of them means money.</summary>
    public static bool EncloseFormula(string text)
    {
        int runs = 0, length = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\')
            {
                i++;                                          // an escaped dollar is money
                continue;
            }

            if (text[i] != '$')
            {
                continue;
            }

            int start = i;
            while (i + 1 < text.Length && text[i + 1] == '$')
            {
                i++;
            }

            int run = i + 1 - start;
            if (run > 2 || (runs > 0 && run != length))
            {
                return false;
            }

            runs++;
            length = run;
        }

        return runs == 2;
    }
}
