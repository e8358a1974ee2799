namespace Grpo.Rewards;

/// <summary>A row as it stands in the file; a field is null when it is missing or not a string.</summary>
/// <param name="Number">Line or row, counted from 1.</param>
/// <param name="Place">File and line for messages.</param>
/// <param name="Question">The question.</param>
/// <param name="Answer">The worked solution.</param>
internal readonly record struct Gsm8kRow(int Number, string Place, string? Question, string? Answer);
