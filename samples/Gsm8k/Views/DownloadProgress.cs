using Grpo.Hub;
using Grpo.IO;

namespace Grpo.Samples.Gsm8k;

/// <summary>Prints a line for each tenth of a download.</summary>
internal sealed class DownloadProgress : IProgress<HubProgress>
{
    private string _last = string.Empty;

    public void Report(HubProgress value)
    {
        long tenth = value.BytesTotal > 0 ? 10 * (value.BytesReceived * 10 / value.BytesTotal) : 100;
        string line = $"{TerminalText.EscapeLine(value.File)} ({value.FileNumber} of {value.FileCount}): "
            + $"{tenth} % of {value.BytesTotal / 1_000_000} MB";
        if (line != _last)
        {
            Console.Error.WriteLine(line);
            _last = line;
        }
    }
}
