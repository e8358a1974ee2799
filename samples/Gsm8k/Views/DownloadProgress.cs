using Grpo.Models.Qwen;

namespace Grpo.Samples.Gsm8k;

/// <summary>A line per tenth of a download.</summary>
internal sealed class DownloadProgress : IProgress<HubProgress>
{
    private string _last = string.Empty;

    public void Report(HubProgress value)
    {
        string line = value.TotalBytes is > 0 and { } total
            ? $"{value.File}: {10 * (value.Bytes * 10 / total)} % of {total / 1_000_000} MB"
            : $"{value.File}: {value.Bytes / 10_000_000 * 10} MB";
        if (line != _last)
        {
            Console.Error.WriteLine(line);
            _last = line;
        }
    }
}
