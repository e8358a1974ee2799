using System.Globalization;

namespace Grpo.Checkpoints;

/// <summary>Forms and finds the folder names of checkpoints: <c>checkpoint-000123</c> for step 123.</summary>
internal static class CheckpointFolders
{
    private const string Prefix = "checkpoint-";

    public static string Name(long step) => Prefix + step.ToString("D6", CultureInfo.InvariantCulture);

    /// <summary>
    /// Returns the folders whose name is exactly as <see cref="Name"/> forms it, newest first. Other folders are not checkpoints.
    /// </summary>
    public static List<(long Step, string Folder)> NewestFirst(string root)
    {
        List<(long Step, string Folder)> found = [];
        foreach (string folder in Directory.EnumerateDirectories(root, Prefix + "*"))
        {
            string name = Path.GetFileName(folder);
            if (long.TryParse(name.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long step)
                && name == Name(step))
            {
                found.Add((step, folder));
            }
        }

        return [.. found.OrderByDescending(checkpoint => checkpoint.Step)];
    }
}
