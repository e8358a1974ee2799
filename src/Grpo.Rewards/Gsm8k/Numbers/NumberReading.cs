namespace Grpo.Rewards;

/// <summary>What a candidate text turned out to be.</summary>
internal enum NumberReading
{
    Number,
    Empty,
    SeveralNumbers,
    NotANumber,
}
