using Grpo.Hub;
using Grpo.IO;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Loads problems from a file or from a data set on the hub.</summary>
internal static class DataSource
{
    // The endings of data files, including kinds that cannot be read: a name with one of them means a file.
    private static readonly HashSet<string> FileEndings = new(
        [".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".txt", ".arrow", ".gz", ".zst", ".bz2", ".xz", ".zip", ".tar"],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>Loads the rows of a source.</summary>
    /// <param name="option">The option that names the source, for messages.</param>
    /// <param name="source">The path of a file, or owner/name of a data set on the hub.</param>
    /// <param name="split">The split of a data set on the hub.</param>
    /// <param name="system">The system message of every prompt, or null for none.</param>
    /// <param name="cancellationToken">Stops a download.</param>
    /// <exception cref="FileNotFoundException">The source is a path, but the file does not exist.</exception>
    public static async Task<IReadOnlyList<Prompt>> LoadAsync(
        string option, string source, string split, string? system, CancellationToken cancellationToken) =>
        Gsm8kDataset.Load(await FindAsync(option, source, split, cancellationToken).ConfigureAwait(false), system);

    /// <summary>True if a source can only mean a path and not owner/name on the hub.</summary>
    /// <param name="source">The path of a file, or owner/name of a data set.</param>
    public static bool IsPath(string source) =>
        !HubClient.IsId(source) || FileEndings.Contains(Path.GetExtension(source));

    private static async Task<string> FindAsync(string option, string source, string split, CancellationToken cancellationToken)
    {
        if (Path.Exists(source))
        {
            return source; // the reader reports a folder as an error
        }

        string shown = TerminalText.EscapeLine(source);
        if (IsPath(source))
        {
            throw new FileNotFoundException(
                $"{option} is '{shown}', but there is no such file in '{TerminalText.EscapeLine(Directory.GetCurrentDirectory())}'. " +
                "Give a jsonl or parquet file, or owner/name of a data set on the hub, such as openai/gsm8k.",
                source);
        }

        try
        {
            return await HubClient.DownloadDatasetAsync(source, split, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (HubException exception)
        {
            throw new HubException(
                $"{option} is '{shown}'. There is no file of that name, so it was taken for a data set on the hub, and that failed.",
                exception);
        }
    }
}
