using Grpo.Hub;
using Grpo.IO;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Tells a file from a data set on the hub, and loads either.</summary>
internal static class DataSource
{
    // Names of files that hold data, also of kinds that are not read: a person who writes one means a file.
    private static readonly HashSet<string> FileEndings = new(
        [".jsonl", ".json", ".ndjson", ".parquet", ".csv", ".tsv", ".txt", ".arrow", ".gz", ".zst", ".bz2", ".xz", ".zip", ".tar"],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>Loads the rows of a source.</summary>
    /// <param name="option">The option that names the source, for messages.</param>
    /// <param name="source">A file, or owner/name of a data set on the hub.</param>
    /// <param name="split">The split of a data set on the hub.</param>
    /// <param name="system">The system message of every prompt; null for none.</param>
    /// <param name="cancellationToken">Stops a download.</param>
    /// <exception cref="FileNotFoundException">The source is a file or a path, and there is none.</exception>
    public static async Task<IReadOnlyList<Prompt>> LoadAsync(
        string option, string source, string split, string? system, CancellationToken cancellationToken) =>
        Gsm8kDataset.Load(await FindAsync(option, source, split, cancellationToken).ConfigureAwait(false), system);

    /// <summary>True if a source that does not exist here can only be meant as a path, not as owner/name on the hub.</summary>
    /// <param name="source">A file, or owner/name of a data set.</param>
    public static bool IsPath(string source) =>
        !HubClient.IsId(source) || FileEndings.Contains(Path.GetExtension(source));

    private static async Task<string> FindAsync(string option, string source, string split, CancellationToken cancellationToken)
    {
        if (Path.Exists(source))
        {
            return source; // of a folder the reader says that it is one
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
                $"{option} is '{shown}'. There is no file of that name, so it was taken for a data set on the hub, and that failed.", exception);
        }
    }
}
