using System.Globalization;

namespace Grpo.Rewards.Tests;

/// <summary>
/// Sets the current culture and restores it. If the runtime has no culture data, it uses an artificial culture with the same signs.
/// </summary>
internal sealed class CultureScope : IDisposable
{
    public static readonly string[] Names = ["en-US", "tr-TR", "de-DE", "ar-SA"];

    private readonly CultureInfo _before = CultureInfo.CurrentCulture;

    public CultureScope(string name) => CultureInfo.CurrentCulture = Find(name);

    public void Dispose() => CultureInfo.CurrentCulture = _before;

    private static CultureInfo Find(string name)
    {
        try
        {
            return CultureInfo.GetCultureInfo(name);
        }
        catch (CultureNotFoundException)
        {
            var culture = (CultureInfo)CultureInfo.InvariantCulture.Clone();
            culture.NumberFormat.NumberDecimalSeparator = name == "en-US" ? "." : name == "ar-SA" ? "٫" : ",";
            culture.NumberFormat.NumberGroupSeparator = name == "en-US" ? "," : name == "ar-SA" ? "٬" : ".";
            culture.NumberFormat.NegativeSign = name == "ar-SA" ? "\u061C-" : "-";
            return culture;
        }
    }
}
