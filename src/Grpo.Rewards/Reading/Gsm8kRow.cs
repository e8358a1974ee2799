namespace Grpo.Rewards.Reading;

/// <summary>A row of a data file. A field is null if it is missing or not a string.</summary>
/// <param name="Number">The line or row, counted from 1.</param>
/// <param name="Place">The file and line, for messages.</param>
/// <param name="Question">The question.</param>
/// <param name="Answer">The worked solution.</param>
internal readonly record struct Gsm8kRow(int Number, string Place, string? Question, string? Answer);
