using System.Globalization;

namespace Grpo.Optimization;

/// <summary>The peak learning rate of a run and the reason for it.</summary>
/// <remarks>
/// Adapters want about ten times the rate of full training, whatever their rank: Schulman and Thinking Machines Lab, "LoRA Without Regret",
/// 2025.
/// </remarks>
public sealed record LearningRateChoice
{
    private readonly double _usual;

    /// <param name="set">The rate of the options; null for the default.</param>
    /// <param name="full">The default rate of full training.</param>
    /// <param name="adapter">The default rate of adapters.</param>
    /// <param name="trainsAdapter">True if only an adapter is trained.</param>
    internal LearningRateChoice(double? set, double full, double adapter, bool trainsAdapter)
    {
        _usual = trainsAdapter ? adapter : full;
        Rate = set ?? _usual;
        IsSet = set is not null;
        TrainsAdapter = trainsAdapter;
    }

    /// <summary>The peak learning rate.</summary>
    public double Rate { get; }

    /// <summary>True if the options set the rate. False if it is the default.</summary>
    public bool IsSet { get; }

    /// <summary>True if only an adapter is trained.</summary>
    public bool TrainsAdapter { get; }

    /// <summary>A rate to try if the adapter does not move: the default, or ten times a rate that is not below it.</summary>
    internal double Suggested => Rate < _usual ? _usual : Rate * 10;

    /// <summary>Returns the rate and the reason in words, such as "1E-06, the default of full training".</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Rate}, ") + (IsSet, TrainsAdapter) switch
    {
        (false, false) => "the default of full training",
        (false, true) => "the default of adapters: ten times that of full training",
        (true, false) => "as set",
        (true, true) => "as set; adapters want about ten times the rate of full training",
    };
}
